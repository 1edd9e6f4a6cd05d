/// The knowledge base, and the version of its index, that passages were found in.
public struct RetrievalSource: Sendable {
    /// The base whose ids and stored token ids the passages have.
    public var knowledgeBase: KnowledgeBase
    /// The number of the index version; nil where there is no index.
    public var version: Int?

    public init(knowledgeBase: KnowledgeBase, version: Int? = nil) {
        self.knowledgeBase = knowledgeBase
        self.version = version
    }
}
