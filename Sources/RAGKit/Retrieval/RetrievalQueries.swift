/// A batch of questions to a retriever.
public struct RetrievalQueries: Sendable {
    /// The questions; empty texts where only their vectors are known.
    public let texts: [String]
    /// The questions' vectors, `[queries, dimension]`, without a tape; nil where there are none.
    public let vectors: Tensor?
    /// Passages that must not be found, one set for each query, such as the passage that a training
    /// text was taken from.
    public let excluded: [Set<PassageID>]

    /// - Parameters:
    ///   - vectors: `[texts, dimension]`; only the values are used.
    ///   - excluded: One set for each text; nil excludes nothing.
    public init(texts: [String], vectors: Tensor? = nil, excluded: [Set<PassageID>]? = nil) {
        precondition(
            vectors.map { $0.rank == 2 && $0.dim(0) == texts.count } ?? true
                && excluded.map { $0.count == texts.count } ?? true,
            "RetrievalQueries: vectors \(vectors?.shape ?? []) and \(excluded?.count ?? 0) sets of "
                + "excluded passages for \(texts.count) texts")
        self.texts = texts
        self.vectors = vectors?.detached
        self.excluded = excluded ?? texts.map { _ in [] }
    }

    /// The number of queries.
    public var count: Int { texts.count }

    /// The conditions for a search of an index.
    var searchParameters: SearchParameters {
        SearchParameters(excluded: excluded.allSatisfy(\.isEmpty) ? [] : excluded)
    }

    /// The queries at some places, in the order given.
    func selecting(_ places: [Int]) -> RetrievalQueries {
        RetrievalQueries(
            texts: places.map { texts[$0] }, vectors: vectors?.rows(places.map { Int32($0) }),
            excluded: places.map { excluded[$0] })
    }

    /// The same queries with other passages excluded.
    func excluding(_ excluded: [Set<PassageID>]) -> RetrievalQueries {
        RetrievalQueries(texts: texts, vectors: vectors, excluded: excluded)
    }
}
