import Synchronization

/// Finds passages by the inner product of question and passage vectors.
///
/// Its index can be replaced while searches go on: each search uses one version from beginning to
/// end.
public final class DenseRetriever: RefreshableRetriever {
    public let knowledgeBase: KnowledgeBase
    private let current: Mutex<IndexVersion>

    /// - Parameter version: an index with one vector for each passage, in their order.
    /// - Throws: `RetrievalError.countMismatch`.
    public init(_ knowledgeBase: KnowledgeBase, version: IndexVersion) throws {
        self.knowledgeBase = knowledgeBase
        try Self.check(version, knowledgeBase)
        current = Mutex(version)
    }

    /// A retriever over the exact index of `vectors`, `[passages, dimension]`.
    public convenience init(_ knowledgeBase: KnowledgeBase, vectors: Tensor) throws {
        try self.init(knowledgeBase, version: IndexVersion(index: FlatIndex(vectors)))
    }

    public var needs: QueryNeeds { .vector }

    public var version: IndexVersion { current.withLock { $0 } }

    public func publish(_ version: IndexVersion) throws {
        try Self.check(version, knowledgeBase)
        current.withLock { $0 = version }
    }

    private static func check(_ version: IndexVersion, _ base: KnowledgeBase) throws {
        guard version.index.count == base.count else {
            throw RetrievalError.countMismatch(passages: base.count, vectors: version.index.count)
        }
    }

    public func passages(
        for queries: [RetrievalQuery], count: Int
    ) async throws -> [[RetrievedPassage]] {
        guard !queries.isEmpty else { return [] }
        let index = version.index
        let vectors = try queries.enumerated().map { number, query in
            guard let vector = query.vector else {
                throw RetrievalError.missingVector(query: number)
            }
            guard vector.count == index.dimension else {
                throw RetrievalError.dimensionMismatch(
                    expected: index.dimension, found: vector.count)
            }
            return vector.detached.reshaped([1, index.dimension])
        }
        let hits = try index.search(
            .concatenated(vectors), count: count,
            excluding: queries.allSatisfy(\.excluded.isEmpty) ? [] : queries.map(\.excluded))
        return try hits.map { list in
            try list.map { hit in
                RetrievedPassage(
                    passage: try knowledgeBase.passage(hit.id), score: hit.score,
                    vector: index.vector(hit.id))
            }
        }
    }
}
