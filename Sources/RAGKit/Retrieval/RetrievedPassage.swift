/// A passage that was found.
public struct RetrievedPassage: Sendable, Equatable {
    public var passage: Passage
    /// The fit to the question by the retriever's own measure; higher is better.
    public var score: Float

    public init(passage: Passage, score: Float) {
        self.passage = passage
        self.score = score
    }
}
