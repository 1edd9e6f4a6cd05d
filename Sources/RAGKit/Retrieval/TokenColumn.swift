import Foundation

/// The token ids of many sequences, such as every passage of a knowledge base, made by one tokenizer.
public struct TokenColumn: Sendable {
    /// Names the tokenizer and its settings.
    public let fingerprint: String
    /// The number of passages.
    public let count: Int
    /// The number of ids of all passages together.
    public let totalCount: Int
    private let parts: [Part]

    /// The ids of consecutive passages.
    private struct Part: Sendable {
        var start: Int
        var storage: TokenStorage
    }

    /// A column in memory.
    ///
    /// - Parameter fingerprint: Names the tokenizer and its settings.
    public init(_ sequences: [[Int32]], fingerprint: String = "") {
        var offsets: [Int64] = [0]
        for sequence in sequences { offsets.append((offsets.last ?? 0) + Int64(sequence.count)) }
        self.init(
            fingerprint: fingerprint,
            storages: [TokenStorage(offsets: offsets, ids: Array(sequences.joined()))])
    }

    /// - Parameter storages: The ids of the passages in order, cut anywhere.
    init(fingerprint: String, storages: [TokenStorage]) {
        self.fingerprint = fingerprint
        var parts: [Part] = []
        var start = 0
        for storage in storages where storage.count > 0 {
            parts.append(Part(start: start, storage: storage))
            start += storage.count
        }
        self.parts = parts
        count = start
        totalCount = storages.reduce(0) { $0 + $1.ids.count }
    }

    /// Gives access to the ids of a passage in place.
    ///
    /// - Precondition: The passage exists. The pointer is not used after `body` returns.
    public func withIDs<Result>(
        of id: PassageID, _ body: (UnsafeBufferPointer<Int32>) throws -> Result
    ) rethrows -> Result {
        precondition(
            id.rawValue >= 0 && id.rawValue < count, "passage \(id) of a column of \(count)")
        let part = parts[parts.partition(before: id.rawValue, \.start)]
        return try withExtendedLifetime(part.storage) {
            try body(part.storage.ids(of: id.rawValue - part.start))
        }
    }

    /// The ids of a passage.
    ///
    /// - Precondition: The passage exists.
    public func ids(of id: PassageID) -> [Int32] { withIDs(of: id) { Array($0) } }

    /// How many ids a passage has.
    ///
    /// - Precondition: The passage exists.
    public func length(of id: PassageID) -> Int { withIDs(of: id) { $0.count } }
}

extension Array {
    /// The last element whose start, ascending from 0, is not behind `position`.
    func partition(before position: Int, _ start: (Element) -> Int) -> Int {
        var low = 0
        var high = count
        while high - low > 1 {
            let middle = (low + high) / 2
            if start(self[middle]) <= position { low = middle } else { high = middle }
        }
        return low
    }
}

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
    /// - Throws: ``KnowledgeBaseError/damaged(file:reason:)``, ``CheckpointError``, ``FileError``.
    init(contentsOf url: URL, fingerprint: String, count: Int) throws {
        let tensors = try SafetensorsFile(contentsOf: url)
        func damaged(_ reason: String) -> KnowledgeBaseError {
            .damaged(file: url.path, reason: reason)
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
