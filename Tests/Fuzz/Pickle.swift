// sources: Sources/RAGKit/Files/**/*.swift Sources/RAGKit/Checkpoints/[!M]*.swift
// sources: Tests/Fuzz/CheckpointProbe.swift
// seeds: Tests/Fuzz/Seeds/*.pkl

/// Any bytes as the pickle of an otherwise right `pytorch_model.bin`: an error, or tensors inside it. The
/// archive around them is made here, so that the fuzzer spends its time on the pickle.
@_cdecl("LLVMFuzzerTestOneInput")
public func fuzzPickle(_ start: UnsafePointer<UInt8>?, _ count: Int) -> CInt {
    let pickle = Array(UnsafeBufferPointer(start: start, count: count))
    let bytes = archive([("a/data.pkl", pickle), ("a/data/0", elements), ("a/data/1", elements)])
    return bytes.withUnsafeBytes { bytes in
        probe(limit: elements.count) {
            try TorchFile(MappedFile(copying: bytes, path: "pytorch_model.bin")).entries
        }
    }
}

private let elements = [UInt8](repeating: 1, count: 24)

/// A zip archive of stored entries, without checksums.
private func archive(_ entries: [(name: String, data: [UInt8])]) -> [UInt8] {
    func little(_ value: Int, _ count: Int) -> [UInt8] {
        (0..<count).map { UInt8(truncatingIfNeeded: value >> (8 * $0)) }
    }
    var (file, table): ([UInt8], [UInt8]) = ([], [])
    for (name, data) in entries {
        let sizes = little(data.count, 4) + little(data.count, 4)
        let place = file.count
        let nothing = [UInt8](repeating: 0, count: 8)
        file += [0x50, 0x4B, 3, 4, 20, 0, 0, 0, 0, 0] + nothing + sizes
        file += little(name.utf8.count, 2) + [0, 0] + Array(name.utf8) + data
        table += [0x50, 0x4B, 1, 2, 20, 0, 20, 0, 0, 0, 0, 0] + nothing + sizes
        table += little(name.utf8.count, 2) + [0, 0, 0, 0] + nothing + little(place, 4)
        table += Array(name.utf8)
    }
    let end =
        [0x50, 0x4B, 5, 6, 0, 0, 0, 0] + little(entries.count, 2) + little(entries.count, 2)
        + little(table.count, 4) + little(file.count, 4) + [0, 0]
    return file + table + end
}
