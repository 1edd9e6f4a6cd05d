/// A batch of token sequences, back to back, without padding.
///
/// Sequence `i` holds `ids[offsets[i]..<offsets[i + 1]]`. Models work on `[totalTokens, hidden]`
/// tensors whose rows follow `ids`; only attention looks at the offsets.
public struct TokenBatch: Sendable, Equatable {
    /// All ids, sequence after sequence.
    public private(set) var ids: [Int32] = []
    /// The beginning of each sequence, and at last the number of ids: `count + 1` ascending numbers.
    public private(set) var offsets: [Int] = [0]
    /// BERT's token types, one for each id; `nil` means all 0.
    public private(set) var typeIDs: [Int32]?

    /// An empty batch.
    public init() {}

    /// A batch of `sequences`; empty sequences are allowed.
    public init(_ sequences: some Sequence<[Int32]>) {
        for sequence in sequences { append(sequence) }
    }

    /// A batch of sequences with the token types of each id.
    ///
    /// - Precondition: each sequence has as many types as ids.
    public init(_ sequences: [[Int32]], typeIDs: [[Int32]]) {
        precondition(
            sequences.map(\.count) == typeIDs.map(\.count),
            "TokenBatch: each sequence needs one type for each id")
        self.init(sequences)
        self.typeIDs = typeIDs.flatMap { $0 }
    }

    /// Adds a sequence at the end (of type 0 where the batch has types).
    public mutating func append(_ sequence: some Collection<Int32>) {
        ids.append(contentsOf: sequence)
        offsets.append(ids.count)
        typeIDs?.append(contentsOf: repeatElement(0, count: sequence.count))
    }

    /// The number of sequences.
    public var count: Int { offsets.count - 1 }

    /// The number of ids in all sequences.
    public var totalTokens: Int { ids.count }

    /// The length of each sequence, in tokens.
    public var lengths: [Int] { zip(offsets.dropFirst(), offsets).map { $0 - $1 } }

    /// The ids of one sequence.
    public subscript(index: Int) -> ArraySlice<Int32> { ids[offsets[index]..<offsets[index + 1]] }

    /// The sequences as arrays.
    public var sequences: [[Int32]] { (0..<count).map { Array(self[$0]) } }

    /// The index of each sequence's first id among all ids; of an empty sequence, where it would be.
    public var firstTokens: [Int32] { offsets.dropLast().map { Int32($0) } }

    /// The index of each id within its sequence: 0, 1, 2, … from 0 in every sequence.
    public var positions: [Int32] { lengths.flatMap { Int32(0)..<Int32($0) } }
}
