/// The choice of the passages that a reader is given beside a query: the best that are found, and
/// those that have to be among them.
///
/// Passages that must not be among them, such as the one a text was taken from, are named by
/// ``RetrievalQueries/excluded``.
public struct CandidatePolicy: Sendable {
    /// The number of documents that each query gets, all kinds together.
    public var count: Int
    /// True if the last of them is the empty document, which gives readers that need no passage
    /// something to put their probability on.
    ///
    /// Source: Guu et al. 2020, arXiv:2002.08909, section 3.4.
    public var includesNullDocument: Bool

    /// - Precondition: `count` is at least 1.
    public init(count: Int, includesNullDocument: Bool = false) {
        precondition(count >= 1, "CandidatePolicy: \(count) documents; at least 1 is needed")
        self.count = count
        self.includesNullDocument = includesNullDocument
    }

    /// Finds the candidates of each query.
    ///
    /// - Parameter gold: The passage of each query that is known to be right, if there is one. Where
    ///   it is not found, it takes the place of the worst; where the query excludes it, it is left
    ///   out.
    /// - Returns: The passages found, best first, then gold, then the null document, both with the
    ///   lowest score of their list. The null document has no vector, and gold only where it was
    ///   found for another query of the batch.
    /// - Throws: ``RetrievalError``, or what the retriever throws.
    public func candidates(
        for queries: RetrievalQueries, gold: [Passage?]? = nil, from retriever: any Retriever
    ) async throws -> Candidates {
        precondition(
            gold.map { $0.count == queries.count } ?? true,
            "CandidatePolicy: \(gold?.count ?? 0) gold passages for \(queries.count) queries")
        let room = includesNullDocument ? count - 1 : count
        var found =
            room > 0
            ? try await retriever.checkedResult(for: queries, count: room)
            : RetrievalResult(queries.texts.map { _ in [] })
        for number in 0..<queries.count {
            var list = found.passages[number]
            let lowest = list.last?.score ?? 0
            if let right = gold?[number], room > 0, !queries.excluded[number].contains(right.id),
                !list.contains(where: { $0.passage.id == right.id })
            {
                list = list.prefix(room - 1) + [RetrievedPassage(passage: right, score: lowest)]
            }
            if includesNullDocument {
                list.append(RetrievedPassage(passage: .null, score: lowest))
            }
            guard !list.isEmpty else { throw RetrievalError.noPassages(query: number) }
            found.passages[number] = list
        }
        return Candidates(found)
    }
}
