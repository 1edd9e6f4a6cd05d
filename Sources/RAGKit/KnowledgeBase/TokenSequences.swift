import Foundation

/// The token ids of many sequences, such as all passages of a knowledge base, made by one tokenizer.
public struct TokenSequences: Sendable {
    /// Names the tokenizer and its settings.
    public let fingerprint: String
    /// The number of sequences.
    public let count: Int
    /// The number of ids of all sequences together.
    public let totalCount: Int
    private let parts: [Part]

    /// The ids of consecutive sequences.
    private struct Part: Sendable {
        var start: Int
        var storage: TokenStorage
    }

    /// Sequences in memory.
    ///
    /// - Parameter fingerprint: Names the tokenizer and its settings.
    public init(_ sequences: [[Int32]], fingerprint: String = "") {
        var offsets: [Int64] = [0]
        for sequence in sequences { offsets.append((offsets.last ?? 0) + Int64(sequence.count)) }
        self.init(
            fingerprint: fingerprint,
            storages: [TokenStorage(offsets: offsets, ids: Array(sequences.joined()))])
    }

    /// - Parameter storages: The ids of the sequences in order, cut anywhere.
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

    /// Gives access to the ids of a sequence in place.
    ///
    /// - Parameter row: The sequence's place, counting from 0.
    /// - Precondition: The row exists. The pointer is not used after `body` returns.
    public func withIDs<Result>(
        at row: Int, _ body: (UnsafeBufferPointer<Int32>) throws -> Result
    ) rethrows -> Result {
        precondition(row >= 0 && row < count, "row \(row) of \(count) sequences")
        let part = parts[parts.partition(before: row, \.start)]
        return try withExtendedLifetime(part.storage) {
            try body(part.storage.ids(of: row - part.start))
        }
    }

    /// The ids of a sequence.
    ///
    /// - Precondition: The row exists.
    public subscript(row: Int) -> [Int32] { withIDs(at: row) { Array($0) } }

    /// The number of ids of a sequence.
    ///
    /// - Precondition: The row exists.
    public func length(at row: Int) -> Int { withIDs(at: row) { $0.count } }
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
