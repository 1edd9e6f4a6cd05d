/// The passages that a reader is given beside each query of a batch, in one order throughout:
/// `documentsPerQuery` for each query.
///
/// Where a query has fewer, its first stands in for the others with probability 0.
public struct Candidates: Sendable {
    /// The passages of each query, best first; at least one, and at most `documentsPerQuery`.
    public let lists: [[RetrievedPassage]]
    /// The number of documents that each query has.
    public let documentsPerQuery: Int
    /// Each different passage once: what has to be encoded.
    public let uniquePassages: [Passage]
    /// For each query and document, its place in `uniquePassages`.
    public let passageIndices: [Int32]
    /// The vectors of `uniquePassages` in the index they were found in, `[unique, dimension]`; nil if
    /// any has none.
    public let indexVectors: Tensor?
    /// The base and version that the passages come from.
    public let source: RetrievalSource?

    /// - Precondition: No list is empty.
    public init(_ result: RetrievalResult) {
        let lists = result.passages
        precondition(!lists.contains(where: \.isEmpty), "Candidates: a query has no passage")
        let documents = lists.map(\.count).max() ?? 0
        var places: [Passage: Int32] = [:]
        var unique: [Passage] = []
        var indices: [Int32] = []
        for list in lists {
            for document in 0..<documents {
                let passage = (document < list.count ? list[document] : list[0]).passage
                let place = places[passage] ?? Int32(unique.count)
                if places.updateValue(place, forKey: passage) == nil { unique.append(passage) }
                indices.append(place)
            }
        }
        // A text of the caller's own may have the id of another passage, whose vector is not its own.
        let holds = { (passage: Passage) in
            result.source.map { $0.knowledgeBase.holds(passage) } ?? true
        }
        let rows = unique.compactMap { holds($0) ? result.vectors?.row(of: $0.id) : nil }
        self.init(
            lists: lists, documentsPerQuery: documents, uniquePassages: unique,
            passageIndices: indices,
            indexVectors: rows.count == unique.count && !rows.isEmpty
                ? result.vectors?.vectors.rows(rows) : nil,
            source: result.source)
    }

    init(
        lists: [[RetrievedPassage]], documentsPerQuery: Int, uniquePassages: [Passage],
        passageIndices: [Int32], indexVectors: Tensor? = nil, source: RetrievalSource? = nil
    ) {
        self.lists = lists
        self.documentsPerQuery = documentsPerQuery
        self.uniquePassages = uniquePassages
        self.passageIndices = passageIndices
        self.indexVectors = indexVectors
        self.source = source
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
            try (0..<documentsPerQuery).map { try transform(query, self[query, $0]) }
        }
    }

    /// `scores` as they are where a document was found, and so low that its probability is 0 where
    /// one stands in (finite, since -∞ times 0 is not a number).
    ///
    /// - Parameter scores: `[queries, documentsPerQuery]`.
    public func masked(_ scores: Tensor) -> Tensor {
        guard lists.contains(where: { $0.count < documentsPerQuery }) else { return scores }
        let mask = lists.flatMap { list in
            (0..<documentsPerQuery).map { $0 < list.count ? Float(0) : -1e30 }
        }
        return scores + Tensor(mask, shape: [count, documentsPerQuery])
    }

    /// The relevance of each document, with gradients to both sides where they are recorded.
    ///
    /// - Parameters:
    ///   - queries: `[queries, dimension]`.
    ///   - vectors: The live context encoder's vectors of `uniquePassages`, `[unique, dimension]`.
    /// - Returns: `[queries, documentsPerQuery]`, about -1e30 where a document stands in.
    public func scores(
        _ queries: Tensor, vectors: Tensor, by scorer: RelevanceScorer = .dot
    ) -> Tensor {
        masked(scorer.scores(queries, vectors.rows(passageIndices)))
    }

    /// The relevance of each document by the index's vectors, which are constants, or by the
    /// retriever's own scores where a passage has no vector.
    ///
    /// - Returns: `[queries, documentsPerQuery]`, about -1e30 where a document stands in.
    public func scores(_ queries: Tensor, by scorer: RelevanceScorer = .dot) -> Tensor {
        guard let indexVectors else {
            return masked(Tensor(map { $1.score }, shape: [count, documentsPerQuery]))
        }
        return masked(scorer.scores(queries, indexVectors.rows(passageIndices)))
    }
}
