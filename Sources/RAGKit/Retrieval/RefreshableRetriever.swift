/// A retriever whose index can be replaced by one made with newer encoder weights.
public protocol RefreshableRetriever: Retriever {
    /// The version that searches use now.
    var version: IndexVersion { get }
    /// The passages that every version indexes.
    var knowledgeBase: KnowledgeBase { get }
    /// Makes `version` the one that searches use from now on; those under way keep theirs.
    ///
    /// - Throws: ``RetrievalError`` when it does not fit the knowledge base.
    func publish(_ version: IndexVersion) throws
}
