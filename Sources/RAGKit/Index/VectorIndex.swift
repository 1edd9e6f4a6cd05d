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
    ///   - count: The number to find; where there are fewer, all are found.
    /// - Throws: ``IndexError``.
    func search(
        _ queries: Tensor, count: Int, _ parameters: SearchParameters
    ) throws -> [[SearchHit]]

    /// Copies of the vectors of some ids, `[ids, dimension]`.
    ///
    /// - Precondition: The index holds every id.
    func vectors(of ids: [PassageID]) -> Tensor

    /// The id of the vector at a place in the order of ids.
    ///
    /// - Precondition: `place` is within `0..<count`.
    func id(at place: Int) -> PassageID
}

extension VectorIndex {
    /// The vectors with the highest inner product, without conditions.
    public func search(_ queries: Tensor, count: Int) throws -> [[SearchHit]] {
        try search(queries, count: count, SearchParameters())
    }

    /// The ids 0, 1, 2, …
    public func id(at place: Int) -> PassageID { PassageID(place) }
}
