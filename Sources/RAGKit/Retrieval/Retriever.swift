/// Finds passages for questions: an index over vectors, a keyword search, a service, a fixed list.
///
/// For each query it returns at most `count` passages, best first, no passage twice and none that is
/// excluded; fewer only when there are no more. It may be called from several tasks at once.
/// ``RetrieverContract`` checks it.
public protocol Retriever: Sendable {
    /// The inputs that it requires.
    var needs: QueryNeeds { get }

    /// Finds the passages of each query.
    ///
    /// - Returns: One list for each query, in their order, from one version of the index.
    func retrieve(_ queries: RetrievalQueries, count: Int) async throws -> RetrievalResult

    /// The retriever whose index can be replaced: this one by default, if it can be. Wrappers and
    /// hybrids return that of the retriever they ask.
    var refreshable: (any RefreshableRetriever)? { get }
}

extension Retriever {
    public var refreshable: (any RefreshableRetriever)? { self as? any RefreshableRetriever }
}
