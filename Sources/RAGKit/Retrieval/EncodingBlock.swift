/// A block of consecutive sequences, in batches of similar length.
///
/// Blocks have a fixed size, so that a row's bits depend neither on the number of threads nor on
/// where the work was interrupted, and so that vectors go to the disk as they are made.
struct EncodingBlock: Sendable {
    /// The number of sequences in each block but the last.
    static let size = 65_536

    private let tokens: TokenSequences
    /// The sequences of the block.
    private let rows: Range<Int>
    /// The sequences, shortest first.
    private let order: [Int]
    /// The batches, as ranges of `order`.
    private let ranges: [Range<Int>]

    /// The blocks of `count` sequences.
    static func rows(of count: Int, size: Int = size) -> [Range<Int>] {
        stride(from: 0, to: count, by: size).map { $0..<min($0 + size, count) }
    }

    init(_ rows: Range<Int>, of tokens: TokenSequences, tokensPerBatch: Int) {
        self.tokens = tokens
        self.rows = rows
        let lengths = rows.map { tokens.length(at: $0) }
        order = lengths.indices.sorted { (lengths[$0], $0) < (lengths[$1], $1) }
        var ranges: [Range<Int>] = []
        while case let next = ranges.last?.upperBound ?? 0, next < order.count {
            let size = max(1, tokensPerBatch / max(1, lengths[order[next]]))
            ranges.append(next..<min(next + size, order.count))
        }
        self.ranges = ranges
    }

    /// The number of batches.
    var count: Int { ranges.count }

    /// `[sequences of the block, dimension]`, to be filled by `encode`.
    func emptyVectors(of encoder: any TextEncoder) -> Tensor {
        Tensor(shape: [rows.count, encoder.dimension]) { _ in }
    }

    /// Encodes a batch in evaluation mode without a tape.
    ///
    /// - Parameter vectors: `[sequences of the block, dimension]`, where its rows are written; several
    ///   threads may write those of different batches.
    /// - Returns: The number of sequences in the batch.
    func encode(_ number: Int, with encoder: any TextEncoder, into vectors: Tensor) -> Int {
        let members = order[ranges[number]]
        let encoded = withInference {
            encoder(TokenBatch(members.map { tokens[rows.lowerBound + $0] }))
        }
        let dimension = vectors.dim(1)
        for (row, place) in members.enumerated() {
            (vectors.writablePointer + place * dimension)
                .update(from: encoded.pointer + row * dimension, count: dimension)
        }
        return members.count
    }
}
