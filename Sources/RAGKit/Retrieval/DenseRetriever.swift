import Foundation
import Synchronization

/// Finds passages by the inner product of question and passage vectors.
///
/// Its index can be replaced while searches go on: each search uses one version from beginning to
/// end.
public final class DenseRetriever: RefreshableRetriever {
    public let knowledgeBase: KnowledgeBase
    private let current: Mutex<IndexVersion>

    /// - Parameter version: An index with one vector for each passage, in their order.
    /// - Throws: ``RetrievalError/countMismatch(passages:vectors:)``.
    public init(_ knowledgeBase: KnowledgeBase, version: IndexVersion) throws {
        self.knowledgeBase = knowledgeBase
        try Self.check(version, knowledgeBase)
        current = Mutex(version)
    }

    /// A retriever over the exact index of `vectors`, `[passages, dimension]`.
    public convenience init(_ knowledgeBase: KnowledgeBase, vectors: Tensor) throws {
        try self.init(knowledgeBase, version: IndexVersion(index: FlatIndex(vectors)))
    }

    /// A retriever over the current version of a store, mapped, or over the newest complete one if
    /// that is damaged.
    ///
    /// - Parameter onFault: Told about each damaged version that is skipped.
    /// - Throws: ``RetrievalError``, ``VersionError``, ``IndexError``, ``FileError``.
    public convenience init(
        _ knowledgeBase: KnowledgeBase, store: IndexStore, onFault: (any Error) -> Void = { _ in }
    ) throws {
        guard let (version, faults) = try store.open() else {
            throw RetrievalError.emptyStore(directory: store.directory.path)
        }
        faults.forEach(onFault)
        try self.init(knowledgeBase, version: version)
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

    /// - Throws: ``RetrievalError/missingVectors``, ``IndexError``, or what reading passages throws.
    public func retrieve(_ queries: RetrievalQueries, count: Int) async throws -> RetrievalResult {
        let version = version
        let source = RetrievalSource(knowledgeBase: knowledgeBase, version: version.number)
        guard queries.count > 0 else { return RetrievalResult([], source: source) }
        guard let vectors = queries.vectors else { throw RetrievalError.missingVectors }
        let hits = try version.index.search(vectors, count: count, queries.searchParameters)
        let passages = try hits.map { list in
            try list.map { hit in
                RetrievedPassage(passage: try knowledgeBase.passage(hit.id), score: hit.score)
            }
        }
        var seen: Set<PassageID> = []
        let found = hits.joined().map(\.id).filter { seen.insert($0).inserted }
        return RetrievalResult(
            passages,
            vectors: PassageVectors(ids: found, vectors: version.index.vectors(of: found)),
            source: source)
    }
}
