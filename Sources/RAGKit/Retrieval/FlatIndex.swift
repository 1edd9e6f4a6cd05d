import RAGKitBLAS

/// Vectors that can be searched for the ones most similar to a query.
public protocol VectorIndex: Sendable {
    /// The number of vectors.
    var count: Int { get }
    /// The length of each vector.
    var dimension: Int { get }

    /// The vectors with the highest inner product, best first, ties by lower id.
    ///
    /// - Parameters:
    ///   - queries: `[queries, dimension]`.
    ///   - count: how many to find; where there are fewer, all are found.
    ///   - excluded: ids not to find, one set for each query; empty for none at all.
    func search(
        _ queries: Tensor, count: Int, excluding excluded: [Set<PassageID>]
    ) throws -> [[SearchHit]]

    /// The vector of one id, `[dimension]`.
    func vector(_ id: PassageID) -> Tensor
}

/// One result of a search.
public struct SearchHit: Sendable, Equatable {
    public var id: PassageID
    /// The inner product with the query.
    public var score: Float

    public init(id: PassageID, score: Float) {
        self.id = id
        self.score = score
    }
}

/// The exact index: compares every vector with every query.
///
/// Up to about a million vectors this is fast enough to search in every training step, and it needs
/// no time to build.
public struct FlatIndex: VectorIndex {
    /// `[count, dimension]`.
    public let vectors: Tensor

    /// - Parameter vectors: `[count, dimension]`; row `i` belongs to passage `i`.
    public init(_ vectors: Tensor) {
        precondition(vectors.rank == 2, "FlatIndex: [count, dimension], not \(vectors.shape)")
        self.vectors = vectors.detached
    }

    public var count: Int { vectors.dim(0) }
    public var dimension: Int { vectors.dim(1) }

    public func search(
        _ queries: Tensor, count: Int, excluding excluded: [Set<PassageID>] = []
    ) throws -> [[SearchHit]] {
        guard count >= 1 else { throw RetrievalError.invalidCount(count) }
        guard queries.rank == 2, queries.dim(1) == dimension else {
            throw RetrievalError.dimensionMismatch(
                expected: dimension, found: queries.shape.last ?? 0)
        }
        precondition(
            excluded.isEmpty || excluded.count == queries.dim(0),
            "search: \(excluded.count) sets of excluded ids for \(queries.dim(0)) queries")
        let limit = min(count, self.count)
        let total = queries.dim(0) * limit
        var found = [Int](repeating: -1, count: total)
        var scores = [Float](repeating: 0, count: total)
        let lists = excluded.map { $0.map(\.rawValue).sorted() }
        let offsets = lists.reduce(into: [0]) { $0.append(($0.last ?? 0) + $1.count) }
        let ids = lists.flatMap { $0 }
        ids.withUnsafeBufferPointer { ids in
            offsets.withUnsafeBufferPointer { offsets in
                ragkit_search(
                    queries.dim(0), self.count, dimension, queries.pointer, vectors.pointer, limit,
                    lists.isEmpty ? nil : offsets.baseAddress,
                    lists.isEmpty ? nil : ids.baseAddress, &found, &scores)
            }
        }
        return (0..<queries.dim(0)).map { query in
            (query * limit..<(query + 1) * limit).compactMap { position in
                // A row of -1 says that there are no more; it never leaves this function.
                found[position] < 0
                    ? nil
                    : SearchHit(id: PassageID(rawValue: found[position]), score: scores[position])
            }
        }
    }

    public func vector(_ id: PassageID) -> Tensor {
        vectors.slice(id.rawValue..<id.rawValue + 1).reshaped([dimension])
    }
}
