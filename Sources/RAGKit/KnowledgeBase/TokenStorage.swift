import Foundation

/// The token ids of some passages back to back, mapped or in memory.
///
/// `@unchecked Sendable`: nothing changes after `init`, and the owner keeps the bytes in place.
final class TokenStorage: @unchecked Sendable {
    /// Passage `i` has `ids[offsets[i]..<offsets[i + 1]]`; checked in `init`.
    let offsets: UnsafeBufferPointer<Int64>
    let ids: UnsafeBufferPointer<Int32>
    private let file: MappedFile?

    var count: Int { offsets.count - 1 }

    /// Copies ids into memory.
    ///
    /// - Precondition: `offsets` ascend from 0 to the number of ids.
    init(offsets: [Int64], ids: [Int32]) {
        let offsetCopy = UnsafeMutableBufferPointer<Int64>.allocate(capacity: offsets.count)
        _ = offsetCopy.initialize(from: offsets)
        let idCopy = UnsafeMutableBufferPointer<Int32>.allocate(capacity: ids.count)
        _ = idCopy.initialize(from: ids)
        self.offsets = UnsafeBufferPointer(offsetCopy)
        self.ids = UnsafeBufferPointer(idCopy)
        file = nil
        precondition(TokenStorage.problem(self.offsets, ids.count) == nil, "unchecked offsets")
    }

    /// Maps the ids of a segment of `count` passages.
    ///
    /// - Throws: ``VersionError``, ``CheckpointError``, ``FileError``.
    init(contentsOf url: URL, fingerprint: String, count: Int) throws {
        let tensors = try SafetensorsFile(contentsOf: url)
        func damaged(_ reason: String) -> VersionError {
            KnowledgeBase.kind.damaged(url, reason)
        }
        let offsetEntry = try tensors.entry(named: "offsets", dtype: .int64)
        let idEntry = try tensors.entry(named: "ids", dtype: .int32)
        guard tensors.metadata["fingerprint"] == fingerprint else {
            throw damaged("it belongs to another tokenizer than '\(fingerprint)'")
        }
        guard offsetEntry.count == count + 1 else {
            throw damaged("it holds ids of \(offsetEntry.count - 1) passages instead of \(count)")
        }
        guard Int(bitPattern: offsetEntry.bytes.baseAddress) % 8 == 0,
            Int(bitPattern: idEntry.bytes.baseAddress) % 4 == 0
        else { throw damaged("its columns are not aligned") }
        offsets = offsetEntry.bytes.bindMemory(to: Int64.self)
        ids = idEntry.bytes.bindMemory(to: Int32.self)
        file = tensors.file
        if let problem = TokenStorage.problem(offsets, ids.count) { throw damaged(problem) }
    }

    deinit {
        guard file == nil else { return }
        offsets.deallocate()
        ids.deallocate()
    }

    func ids(of row: Int) -> UnsafeBufferPointer<Int32> {
        UnsafeBufferPointer(rebasing: ids[Int(offsets[row])..<Int(offsets[row + 1])])
    }

    private static func problem(_ offsets: UnsafeBufferPointer<Int64>, _ count: Int) -> String? {
        guard offsets.first == 0, offsets.last == Int64(count) else {
            return "its offsets do not go from 0 to \(count)"
        }
        for row in 1..<offsets.count where offsets[row] < offsets[row - 1] {
            return "the ids of passage \(row - 1) of the segment end before they begin"
        }
        return nil
    }

    /// Writes the ids as a file of a segment.
    func write(to url: URL, fingerprint: String) throws {
        var writer = SafetensorsWriter(metadata: ["fingerprint": fingerprint])
        try writer.add("offsets", dtype: .int64, shape: [offsets.count]) { [offsets] emit in
            try emit(UnsafeRawBufferPointer(offsets))
        }
        try writer.add("ids", dtype: .int32, shape: [ids.count]) { [ids] emit in
            try emit(UnsafeRawBufferPointer(ids))
        }
        try writer.write(to: url)
    }
}
