// sources: Sources/RAGKit/Files/**/*.swift Sources/RAGKit/Checkpoints/[!M]*.swift
// sources: Tests/Fuzz/CheckpointProbe.swift
// seeds: Tests/RAGKitTests/Fixtures/checkpoints/*.bin Tests/RAGKitTests/Fixtures/checkpoints/*.cp

/// Any bytes as a `pytorch_model.bin`: an error, or tensors inside the file.
@_cdecl("LLVMFuzzerTestOneInput")
public func fuzzZip(_ start: UnsafePointer<UInt8>?, _ count: Int) -> CInt {
    let bytes = UnsafeRawBufferPointer(start: start, count: count)
    return probe(limit: count) {
        try TorchFile(MappedFile(copying: bytes, path: "pytorch_model.bin")).entries
    }
}
