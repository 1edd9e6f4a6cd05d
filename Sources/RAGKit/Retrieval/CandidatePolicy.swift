/// Which passages a reader is given beside a query: the best that are found, and what has to be
/// among them besides.
///
/// What must not be among them, such as the passage a text was taken from, says each query:
/// `RetrievalQuery.excluded`.
public struct CandidatePolicy: Sendable {
    /// How many documents each query gets, all kinds together.
    public var count: Int
    /// Whether the last of them is the empty document, which gives readers that need no passage
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
    /// - Parameter gold: a passage for each query that is known to be right, if there is one: where
    ///   it is not found it takes the place of the worst. It is left out where the query excludes it.
    /// - Returns: the passages found, best first, then gold, then the null document. What was not
    ///   found has no vector, and the lowest score of its list.
    /// - Throws: `RetrievalError.brokenPromise`, `.noPassages`, or what the retriever throws.
    public func candidates(
        for queries: [RetrievalQuery], gold: [Passage?]? = nil, from retriever: any Retriever
    ) async throws -> Candidates {
        precondition(
            gold.map { $0.count == queries.count } ?? true,
            "CandidatePolicy: \(gold?.count ?? 0) gold passages for \(queries.count) queries")
        let room = includesNullDocument ? count - 1 : count
        let found =
            room > 0
            ? try await retriever.checkedPassages(for: queries, count: room)
            : queries.map { _ in [] }
        var lists: [[RetrievedPassage]] = []
        for (number, query) in queries.enumerated() {
            var list = found[number]
            let lowest = list.last?.score ?? 0
            if let right = gold?[number], room > 0, !query.excluded.contains(right.id),
                !list.contains(where: { $0.passage.id == right.id })
            {
                list = list.prefix(room - 1) + [RetrievedPassage(passage: right, score: lowest)]
            }
            if includesNullDocument {
                list.append(RetrievedPassage(passage: .null, score: lowest))
            }
            guard !list.isEmpty else { throw RetrievalError.noPassages(query: number) }
            lists.append(list)
        }
        return Candidates(lists)
    }
}

extension Passage {
    /// The empty document: no title, no text, and an id that no knowledge base has.
    public static let null = Passage(id: -1, title: "", text: "")

    /// Whether this is the empty document.
    public var isNull: Bool { id == Self.null.id }
}
