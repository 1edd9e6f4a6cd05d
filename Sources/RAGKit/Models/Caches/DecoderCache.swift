/// The cache of a decoder with self-attention and cross-attention in each layer: BART's and T5's.
///
/// The first layer's self-attention depends on a row's tokens alone, not on its contexts. Rows with
/// the same prefix, such as one beam given each document, go through it as one row.
public struct DecoderCache: DecodingCache {
    /// Stores keys and values of the newest position; see `SelfAttentionCache.extend`.
    typealias Extend = (_ keys: Tensor, _ values: Tensor) -> SelfAttentionCache.Extended

    /// The greatest number of tokens in a row.
    let capacity: Int
    /// The contexts each row attends to.
    private var attended: [[Int]]
    /// The row at which each context begins among the cross-attention's keys.
    private let memoryOffsets: [Int]
    /// Keys and values of the contexts, computed once, one pair for each layer.
    let crossKeys: [(keys: Tensor, values: Tensor)]
    private(set) var prefixes: DistinctPrefixes
    /// First-layer keys and values, one row for each distinct prefix.
    private(set) var firstLayer: SelfAttentionCache
    private(set) var otherLayers: SelfAttentionCache
    public private(set) var length = 0

    public var rowCount: Int { attended.count }

    init(
        capacity: Int, attended: [[Int]], memoryOffsets: [Int],
        crossKeys: [(keys: Tensor, values: Tensor)], width: Int
    ) {
        self.capacity = capacity
        self.attended = attended
        self.memoryOffsets = memoryOffsets
        self.crossKeys = crossKeys
        prefixes = DistinctPrefixes(rows: attended.count)
        firstLayer = SelfAttentionCache(
            rows: 1, capacity: capacity, width: width, layers: min(1, crossKeys.count))
        otherLayers = SelfAttentionCache(
            rows: attended.count, capacity: capacity, width: width,
            layers: max(0, crossKeys.count - 1))
    }

    public mutating func reorder(_ parents: [Int32]) {
        check(parents, below: rowCount, "reorder")
        guard !parents.elementsEqual(0..<Int32(rowCount)) else { return }
        attended = parents.map { attended[Int($0)] }
        prefixes.reorder(parents)
        otherLayers.reorder(parents, length: length)
    }

    /// Begins a step: each row grows by one token.
    mutating func append(_ tokens: [Int32]) {
        precondition(
            tokens.count == rowCount && length < capacity,
            "step: \(tokens.count) tokens for \(rowCount) rows, or no room for another")
        firstLayer.reorder(prefixes.append(tokens), length: length)
        length += 1
    }

    /// Runs a layer's self-attention block for the step's position.
    ///
    /// The first layer's block is given a row for each distinct prefix, and its result is copied to
    /// all rows with that prefix.
    ///
    /// - Parameters:
    ///   - hidden: the layer's input, `[rowCount, width]`.
    ///   - block: turns rows of `hidden` into states of the same shape; it passes their keys and
    ///     values to `extend` and attends to what that returns.
    /// - Returns: `[rowCount, width]`.
    mutating func selfAttention(
        _ hidden: Tensor, layer: Int, _ block: (_ hidden: Tensor, _ extend: Extend) -> Tensor
    ) -> Tensor {
        let length = length
        guard layer == 0 else {
            return block(hidden) { otherLayers.extend($0, $1, layer: layer - 1, length: length) }
        }
        let states = block(hidden.rows(prefixes.firstRows)) {
            firstLayer.extend($0, $1, layer: 0, length: length)
        }
        return states.rows(prefixes.ofRows)
    }

    /// One query row for each row, which attends to its contexts.
    var crossSegments: SegmentMap {
        SegmentMap(
            queryOffsets: Array(0...rowCount), keyOffsets: memoryOffsets, attended: attended)
    }
}

/// The different sequences of tokens that rows have decoded.
struct DistinctPrefixes {
    /// The number of each row's prefix.
    private(set) var ofRows: [Int32]
    /// For each prefix, the first row that has it, as of the last `append`.
    private(set) var firstRows: [Int32] = []

    /// All rows begin with the empty prefix.
    init(rows: Int) { ofRows = Array(repeating: 0, count: rows) }

    /// Lets row `i` continue row `parents[i]`.
    mutating func reorder(_ parents: [Int32]) { ofRows = parents.map { ofRows[Int($0)] } }

    /// Lengthens each row by one token.
    ///
    /// - Returns: for each new prefix, the number of the prefix that it continues.
    mutating func append(_ tokens: [Int32]) -> [Int32] {
        struct Continuation: Hashable {
            let prefix, token: Int32
        }
        var known: [Continuation: Int32] = [:]
        var parents: [Int32] = []
        firstRows = []
        for (row, token) in tokens.enumerated() {
            let continuation = Continuation(prefix: ofRows[row], token: token)
            if let number = known[continuation] {
                ofRows[row] = number
                continue
            }
            let number = Int32(parents.count)
            known[continuation] = number
            parents.append(continuation.prefix)
            firstRows.append(Int32(row))
            ofRows[row] = number
        }
        return parents
    }
}
