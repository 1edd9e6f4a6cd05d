/// The answer of a retriever to a batch of queries, whole, from one version of its index.
///
/// All that a later step needs is in it and is never asked for again: an index version published
/// after the search changes nothing here. A list of lists of passages is all that a simple retriever
/// returns.
public struct RetrievalResult: Sendable, ExpressibleByArrayLiteral {
    /// The passages of each query, best first.
    public var passages: [[RetrievedPassage]]
    /// The vectors of the passages; nil where the scores count as they are, as constants.
    public var vectors: PassageVectors?
    /// The base and version that the passages come from; nil for the caller's own texts, whose ids
    /// may be those of others in any base.
    public var source: RetrievalSource?

    public init(
        _ passages: [[RetrievedPassage]], vectors: PassageVectors? = nil,
        source: RetrievalSource? = nil
    ) {
        self.passages = passages
        self.vectors = vectors
        self.source = source
    }

    public init(arrayLiteral elements: [RetrievedPassage]...) { self.init(elements) }

    /// The result of each query cut to its best passages.
    public func prefix(_ count: Int) -> RetrievalResult {
        RetrievalResult(passages.map { Array($0.prefix(count)) }, vectors: vectors, source: source)
    }
}
