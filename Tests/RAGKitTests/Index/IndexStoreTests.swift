import Foundation
import Testing

@testable import RAGKit

private let origin = IndexOrigin(
    encoder: "encoder", tokenizer: "tokenizer", precision: .bfloat16, knowledgeBase: "000004")

extension IndexStore {
    /// Publishes vectors that are `value` everywhere.
    fileprivate func publish(_ value: Float, count: Int = 3, dimension: Int = 5) throws -> Int {
        try publish(
            VectorFile(.full([count, dimension], value)), step: Int(value), origin: origin
        ).number
    }
}

extension IndexVersion {
    /// All vectors of an index whose ids are 0, 1, 2, ….
    fileprivate var values: [Float] {
        index.vectors(of: (0..<index.count).map { PassageID($0) }).elements
    }
}

@Suite struct IndexStoreTests {
    @Test func publishesAndOpens() throws {
        let folder = try TemporaryDirectory()
        let store = try IndexStore(directory: folder.file("run/index"))
        #expect(try store.current() == nil)
        #expect(try store.open() == nil)
        let values: [Float] = [1, -2.5, 3e-38, 0, 5, 6]
        let before = Date()
        let published = try store.publish(
            VectorFile(Tensor(values, shape: [2, 3])), step: 7, origin: origin)
        #expect(published.number == 1 && published.values == values)
        #expect(try store.current() == 1)
        let opened = try #require(try IndexStore(directory: store.directory).open())
        #expect(opened.faults.isEmpty)
        let version = opened.version
        #expect(version.number == 1 && version.step == 7 && version.kind == "flat")
        #expect(version.origin == origin)
        #expect(version.created == published.created)
        #expect((-1...60).contains(version.created.timeIntervalSince(before)))
        #expect(version.index.count == 2 && version.index.dimension == 3)
        #expect(version.values == values)
        let index = try #require(version.index as? FlatIndex)
        #expect(Int(bitPattern: index.rows.vectors.pointer) % 64 == 0)
        try store.verify(version: 1)

        #expect(try store.publish(8) == 2)
        #expect(try store.current() == 2)
        #expect(version.values == values)
        #expect(try store.versions() == [1, 2])
        try store.makeCurrent(1)
        #expect(try store.current() == 1)
        #expect(try store.publish(9) == 3)
        let missing = VersionError.noSuchVersion(
            name: "000004", directory: store.directory.path,
            available: ["000001", "000002", "000003"])
        #expect(throws: missing) { _ = try store.open(version: 4) }
        #expect(throws: missing) { try store.makeCurrent(4) }
        #expect(missing.description.contains("there are 000001, 000002, 000003"))
    }

    @Test func acceptsNoVectors() throws {
        let folder = try TemporaryDirectory()
        let store = try IndexStore(directory: folder.url)
        _ = try store.publish(1, count: 0)
        let version = try #require(try store.open()).version
        #expect(version.index.count == 0 && version.index.dimension == 5)
        #expect(try version.index.search(.zeros([2, 5]), count: 3) == [[], []])
    }

    @Test(arguments: [Float.nan, .infinity, -.infinity])
    func refusesVectorsThatAreNotFinite(value: Float) throws {
        let folder = try TemporaryDirectory()
        let store = try IndexStore(directory: folder.url)
        #expect(throws: IndexError.notFinite(row: 1, column: 2, value: value)) {
            _ = try store.publish(VectorFile(Tensor([1, 2, 3, 4, 5, value], shape: [2, 3])))
        }
        #expect(try store.versions().isEmpty && store.current() == nil)
        #expect(
            try FileManager.default.contentsOfDirectory(atPath: folder.file("versions").path) == [])
    }

    @Test func removesOnlyWhatNobodyNeeds() throws {
        let folder = try TemporaryDirectory()
        let store = try IndexStore(directory: folder.url)
        for value in 1...6 { _ = try store.publish(Float(value)) }
        let other = try IndexStore(directory: folder.url)
        var held: IndexVersion? = try other.open(version: 2)
        #expect(try store.remove(olderThan: 6, keeping: [4]) == [1, 3, 5])
        #expect(try store.versions() == [2, 4, 6])
        #expect(held?.values.first == 2)
        try other.verify(version: 2)
        held = nil
        #expect(try store.remove(olderThan: 100) == [2, 4])
        #expect(try store.versions() == [6])
        #expect(
            try FileManager.default.contentsOfDirectory(atPath: folder.url.path + "/versions")
                == ["000006"])
        #expect(try store.publish(7) == 7)
    }

    @Test func fallsBackToTheNewestCompleteVersion() throws {
        let folder = try TemporaryDirectory()
        let store = try IndexStore(directory: folder.url)
        for value in 1...3 { _ = try store.publish(Float(value)) }
        for name in ["embeddings.safetensors", "manifest.json"] {
            let file = folder.file("versions/000003/\(name)")
            let whole = try Data(contentsOf: file)
            try whole.dropLast(2).write(to: file)
            let opened = try #require(try store.open())
            #expect(opened.version.number == 2 && opened.faults.count == 1)
            #expect("\(opened.faults)".contains("000003"))
            try whole.write(to: file)
        }
        try Data("nonsense".utf8).write(to: folder.file("CURRENT"))
        #expect(throws: VersionError.self) { try store.current() }
        #expect(throws: VersionError.self) { try store.remove(olderThan: 9) }
        let opened = try #require(try store.open())
        #expect(opened.version.number == 3 && opened.faults.count == 1)
        // Where none is whole, the first fault is thrown.
        for value in 1...3 {
            try Data([1]).write(to: folder.file("versions/00000\(value)/manifest.json"))
        }
        #expect(throws: VersionError.self) { try store.open() }
    }

    /// Every file of a version, cut anywhere or with any bit changed, is found when it is opened;
    /// also where `CURRENT` names another, and so says nothing about its manifest.
    @Test(arguments: [true, false])
    func findsDamage(isCurrent: Bool) throws {
        let folder = try TemporaryDirectory()
        let store = try IndexStore(directory: folder.url)
        _ = try store.publish(1)
        if !isCurrent { _ = try store.publish(2) }
        for name in ["embeddings.safetensors", "manifest.json"] {
            let file = folder.file("versions/000001/\(name)")
            let whole = try Data(contentsOf: file)
            for position in whole.indices {
                var changed = whole
                changed[position] ^= 1 << UInt8(position % 8)
                for bytes in [changed, whole.prefix(position)] {
                    try bytes.write(to: file)
                    do {
                        let opened = try store.open(version: 1)
                        // White space between the values of a manifest does not matter.
                        #expect(name == "manifest.json" && !isCurrent, "byte \(position)")
                        #expect(opened.origin == origin && opened.step == 1)
                    } catch {
                        #expect(error is VersionError, "byte \(position): \(error)")
                    }
                }
            }
            try whole.write(to: file)
        }
        try store.verify(version: 1)
    }

    @Test(arguments: [false, true])
    func keepsOldOrNewWhereverTheDiskFails(forGood: Bool) throws {
        let folder = try TemporaryDirectory()
        let store = try IndexStore(directory: folder.url)
        _ = try store.publish(1)
        for number in 0..<200 {
            let before = try #require(try store.current())
            let (failed, error) = withFailingDisk(at: number, forGood: forGood) {
                _ = try store.publish(2)
                try store.remove(olderThan: .max)
            }
            let current = try #require(try IndexStore(directory: folder.url).current())
            #expect(current >= before)
            let opened = try store.open(version: current)
            try store.verify(version: current)
            #expect(Set(opened.values).count == 1)
            if !failed {
                #expect(opened.values.first == 2 && error == nil)
                #expect(number > 10)
                return
            }
        }
        Issue.record("the disk never worked")
    }

    @Test func sweepsWhatAKilledWriterLeft() throws {
        let folder = try TemporaryDirectory()
        let store = try IndexStore(directory: folder.url)
        _ = try store.publish(1)
        let left = folder.file("versions/000002.tmp-\(pid_t.max)-1f")
        try FileManager.default.createDirectory(at: left, withIntermediateDirectories: false)
        // Whoever only reads, perhaps on another machine, removes nothing.
        #expect(try IndexStore(directory: folder.url).versions() == [1])
        #expect(FileManager.default.fileExists(atPath: left.path))
        #expect(try store.publish(2) == 2)
        #expect(!FileManager.default.fileExists(atPath: left.path))
    }

    /// A folder without a manifest is no version, and keeps nobody from publishing the next one.
    @Test func aFolderWithoutManifestTakesItsNumber() throws {
        let folder = try TemporaryDirectory()
        let store = try IndexStore(directory: folder.url)
        _ = try store.publish(1)
        _ = try store.publish(2)
        try FileManager.default.removeItem(at: folder.file("versions/000002/manifest.json"))
        #expect(try store.versions() == [1])
        #expect(try store.publish(3) == 3)
    }

    /// One version is made at a time: a second writer is told at once, not after its encoding.
    @Test func aSecondWriterIsRefusedBeforeItBegins() throws {
        let folder = try TemporaryDirectory()
        let store = try IndexStore(directory: folder.url)
        var draft: IndexDraft? = try IndexDraft(
            count: 1, dimension: 2, kind: FlatIndexKind(), store: store)
        #expect(draft?.writer.count == 1)
        let busy = VersionError.busy(directory: folder.url.path, process: getpid())
        #expect(throws: busy) {
            _ = try IndexDraft(count: 1, dimension: 2, kind: FlatIndexKind(), store: store)
        }
        draft = nil
        #expect(try store.publish(1) == 1)
    }
}
