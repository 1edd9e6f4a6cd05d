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
