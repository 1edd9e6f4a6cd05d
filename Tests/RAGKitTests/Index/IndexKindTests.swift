import Foundation
import Synchronization
import Testing

@testable import RAGKit

/// What was asked of a kind of index.
private final class Built: Sendable {
    private let state = Mutex<(previous: [Float?], folders: [URL])>(([], []))
    var previous: [Float?] { state.withLock(\.previous) }
    var folders: [URL] { state.withLock(\.folders) }

    func note(_ previous: Float?, _ folder: URL) {
        state.withLock {
            $0.previous.append(previous)
            $0.folders.append(folder)
        }
    }
}

/// A user's own index: its file holds the ids in the order in which every query finds them.
private struct Ranking: VectorIndex {
    let rows: VectorFile
    let order: [PassageID]

    var count: Int { rows.count }
    var dimension: Int { rows.dimension }

    func search(
        _ queries: Tensor, count: Int, _ parameters: SearchParameters
    ) throws -> [[SearchHit]] {
        (0..<queries.dim(0)).map { query in
            let hidden = parameters.excluded.isEmpty ? [] : parameters.excluded[query]
            return order.filter { !hidden.contains($0) }.prefix(count).enumerated().map {
                SearchHit(id: $0.element, score: -Float($0.offset))
            }
        }
    }

    func vectors(of ids: [PassageID]) -> Tensor { rows.vectors(of: ids) }
    func id(at place: Int) -> PassageID { rows.id(ofRow: place) }
}

/// Ranks by the first number of each vector, the highest first.
private struct RankingKind: IndexKind {
    static let fileName = "ranking.json"
    var built = Built()
    var fails = false
    var name: String { "ranking" }

    func build(
        _ rows: VectorFile, previous: (any VectorIndex)?, in folder: URL,
        progress: (Int) throws -> Void
    ) throws {
        built.note(previous.map { $0.vectors(of: [$0.id(at: 0)]).elements[0] }, folder)
        if fails { throw Planned() }
        let numbers = (0..<rows.count).map { rows.vectors.slice($0..<$0 + 1).elements[0] }
        let ranked = numbers.indices.sorted { numbers[$0] > numbers[$1] }
        let ids = ranked.map { JSONValue.int(rows.id(ofRow: $0).rawValue) }
        try JSONValue.array(ids).write(to: folder.appendingPathComponent(Self.fileName))
        try progress(rows.count)
    }

    func open(_ folder: URL, rows: VectorFile) throws -> any VectorIndex {
        let json = try JSONValue(contentsOf: folder.appendingPathComponent(Self.fileName))
        let ids = try #require(json.arrayValue).map { PassageID(try #require($0.intValue)) }
        return Ranking(rows: rows, order: ids)
    }
}

@Suite struct IndexKindTests {
    private static let rows = VectorFile(
        Tensor([1, 9, 3, 0, 2, 7], shape: [3, 2]), ids: [4, 5, 8])

    private func order(_ index: any VectorIndex) throws -> [PassageID] {
        try index.search(.zeros([1, 2]), count: 9)[0].map(\.id)
    }

    @Test func aStoreOpensTheKindsItKnows() throws {
        let folder = try TemporaryDirectory()
        let kinds: [any IndexKind] = [FlatIndexKind(), RankingKind()]
        let store = try IndexStore(directory: folder.url, kinds: kinds)
        let published = try store.publish(Self.rows, kind: RankingKind())
        _ = try store.publish(Self.rows)
        #expect(published.kind == "ranking" && published.index is Ranking)
        #expect(try order(published.index) == [5, 8, 4])

        let opened = try store.open(version: 1)
        #expect(opened.kind == "ranking" && opened.index is Ranking)
        #expect(try order(opened.index) == [5, 8, 4])
        #expect(opened.index.vectors(of: [8]).elements == [2, 7])
        let flat = try store.open(version: 2)
        #expect(flat.kind == "flat" && flat.index is FlatIndex)

        // Who does not know the kind is told which one it is.
        let plain = try IndexStore(directory: folder.url)
        let error = #expect(throws: IndexError.unknownKind(name: "ranking", known: ["flat"])) {
            _ = try plain.open(version: 1)
        }
        #expect(error?.description.contains("'ranking'; known are flat") == true)
        #expect(try plain.open(version: 2).number == 2)
    }

    /// The files of a kind have checksums like the vectors.
    @Test func damagedFilesOfAKind() throws {
        let folder = try TemporaryDirectory()
        let store = try IndexStore(directory: folder.url, kinds: [RankingKind()])
        _ = try store.publish(Self.rows, kind: RankingKind())
        let file = folder.file("versions/000001/\(RankingKind.fileName)")
        var bytes = try Data(contentsOf: file)
        bytes[bytes.count / 2] ^= 1
        try bytes.write(to: file)
        let error = #expect(throws: VersionError.self) { _ = try store.open(version: 1) }
        #expect(error?.description.contains(RankingKind.fileName) == true)
    }

    /// What cannot be built is not published; the version before stays.
    @Test func buildingThatFails() throws {
        let folder = try TemporaryDirectory()
        let store = try IndexStore(
            directory: folder.url, kinds: .builtIn + [RankingKind(fails: true)])
        _ = try store.publish(Self.rows)
        #expect(throws: Planned.self) {
            _ = try store.publish(Self.rows, kind: RankingKind(fails: true))
        }
        #expect(try store.current() == 1 && store.versions() == [1])
        let names = try FileManager.default.contentsOfDirectory(
            atPath: folder.file("versions").path)
        #expect(names == ["000001"])
    }

    /// Without a store an index is built in a folder that is gone when it is open.
    @Test func inMemory() throws {
        let kind = RankingKind()
        let index = try kind.index(Self.rows, previous: FlatIndex(.full([2, 2], 6)))
        #expect(try order(index) == [5, 8, 4])
        #expect(kind.built.previous == [6])
        let folder = try #require(kind.built.folders.first)
        #expect(!FileManager.default.fileExists(atPath: folder.path))
        let failing = RankingKind(fails: true)
        #expect(throws: Planned.self) { _ = try failing.index(Self.rows, previous: nil) }
        let left = try #require(failing.built.folders.first)
        #expect(left != folder && !FileManager.default.fileExists(atPath: left.path))
    }

    /// A refresh builds the kind it was given, from the index before, and searches use it.
    @Test(arguments: [false, true])
    func refreshing(withStore: Bool) async throws {
        let place = try TemporaryDirectory()
        let model = try TinyRag.model()
        let live = try #require(model.retriever as? DenseRetriever)
        let (encoder, tokenizer) = try #require(try model.contextParts())
        let kind = RankingKind()
        let store = withStore ? try IndexStore(directory: place.url, kinds: [kind]) : nil
        let refresher = try #require(
            try IndexRefresher(
                live, schedule: .blocking(every: 1), store: store, kind: kind))
        var firstNumbers: [Float?] = [TinyRag.indexVectors().elements[0]]
        for step in 1...2 {
            _ = try refresher.refresh(step: step, encoder: encoder, tokenizer: tokenizer)
            firstNumbers.append(live.version.index.vectors(of: [0]).elements[0])
        }
        let version = live.version
        #expect(version.index is Ranking && version.kind == "ranking" && version.number == 2)
        let vectors = version.index.vectors(of: (0..<6).map { PassageID($0) })
        #expect(kind.built.previous == Array(firstNumbers.dropLast()))
        let firsts = (0..<6).map { vectors.elements[$0 * 6] }
        let found = try await model.retrieve(["Why tides?"], count: 6).passages[0]
        #expect(
            found.map(\.passage.id.rawValue) == firsts.indices.sorted { firsts[$0] > firsts[$1] })
    }
}
