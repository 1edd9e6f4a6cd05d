/// The passages that a reader is given beside each query of a batch, in one order throughout:
/// `documents` for each query.
///
/// Where a query has fewer, its first stands in for the others with probability 0.
public struct Candidates: Sendable {
    /// What each query has, best first; at least one, and at most `documents`.
    public let lists: [[RetrievedPassage]]
    /// How many documents each query has.
    public let documents: Int
    /// Each different passage once: what has to be encoded.
    public let different: [Passage]
    /// For each query and document, its place in `different`.
    public let rows: [Int32]

    /// - Precondition: no list is empty.
    public init(_ lists: [[RetrievedPassage]]) {
        precondition(!lists.contains(where: \.isEmpty), "Candidates: a query has no passage")
        let documents = lists.map(\.count).max() ?? 0
        var rowOfPassage: [Passage: Int32] = [:]
        var different: [Passage] = []
        var rows: [Int32] = []
        for list in lists {
            for document in 0..<documents {
                let passage = (document < list.count ? list[document] : list[0]).passage
                let row = rowOfPassage[passage] ?? Int32(different.count)
                if rowOfPassage.updateValue(row, forKey: passage) == nil {
                    different.append(passage)
                }
                rows.append(row)
            }
        }
        self.init(lists: lists, documents: documents, different: different, rows: rows)
    }

    init(lists: [[RetrievedPassage]], documents: Int, different: [Passage], rows: [Int32]) {
        self.lists = lists
        self.documents = documents
        self.different = different
        self.rows = rows
    }

    /// The number of queries.
    public var count: Int { lists.count }

    /// The passage at place `document` of `query`, or the one that stands in for it.
    public subscript(query: Int, document: Int) -> RetrievedPassage {
        let list = lists[query]
        return document < list.count ? list[document] : list[0]
    }

    /// One value for each query and document, a query's together.
    public func map<Value>(_ transform: (Int, RetrievedPassage) throws -> Value) rethrows -> [Value]
    {
        try (0..<count).flatMap { query in
            try (0..<documents).map { try transform(query, self[query, $0]) }
        }
    }

    /// `scores` as they are where a document was found, and so low that its probability is 0 where
    /// one stands in (finite, since -∞ times 0 is not a number).
    ///
    /// - Parameter scores: `[queries, documents]`.
    public func masked(_ scores: Tensor) -> Tensor {
        guard lists.contains(where: { $0.count < documents }) else { return scores }
        let mask = lists.flatMap { list in
            (0..<documents).map { $0 < list.count ? Float(0) : -1e30 }
        }
        return scores + Tensor(mask, shape: [count, documents])
    }

    /// The relevance of each document, with gradients to both sides where they are recorded.
    ///
    /// - Parameters:
    ///   - queries: `[queries, dimension]`.
    ///   - vectors: of `different`, `[different.count, dimension]`: what the live context encoder
    ///     makes of them.
    /// - Returns: `[queries, documents]`, about -1e30 where a document stands in.
    public func scores(
        _ queries: Tensor, vectors: Tensor, by scorer: RelevanceScorer = .dot
    ) -> Tensor {
        masked(scorer.scores(queries, vectors.rows(rows)))
    }

    /// The relevance of each document by what the retriever knows: products with its vectors, which
    /// are constants, or its own scores where it gave none.
    ///
    /// - Returns: `[queries, documents]`, about -1e30 where a document stands in.
    public func scores(_ queries: Tensor, by scorer: RelevanceScorer = .dot) -> Tensor {
        let vectors = map { $1.vector }
        let known = vectors.compactMap { $0?.detached.reshaped([1, queries.dim(1)]) }
        guard known.count == vectors.count, !known.isEmpty else {
            return masked(Tensor(map { $1.score }, shape: [count, documents]))
        }
        return masked(scorer.scores(queries, .concatenated(known)))
    }
}
