import Foundation
import Testing

@testable import RAGKit

private func manifest(_ count: Int, _ dimension: Int, step: Int = 0) -> IndexManifest {
    IndexManifest(
        encoderFingerprint: "encoder", tokenizerFingerprint: "tokenizer", step: step, count: count,
        dimension: dimension, created: Date(timeIntervalSince1970: 1_700_000_000.5))
}

extension IndexVersionStore {
    /// Publishes vectors that are `value` everywhere.
    fileprivate func publish(_ value: Float, count: Int = 3, dimension: Int = 5) throws -> Int {
        let vectors = [Float](repeating: value, count: count * dimension)
        return try vectors.withUnsafeBufferPointer {
            try publish(vectors: $0, manifest: manifest(count, dimension, step: Int(value)))
        }
    }
}

@Suite struct IndexVersionStoreTests {
    @Test func publishesAndOpens() throws {
        let folder = try TemporaryDirectory()
        let store = try IndexVersionStore(directory: folder.file("run/index"))
        #expect(try store.current() == nil)
        #expect(try store.openCurrent() == nil)
        let values: [Float] = [1, -2.5, 3e-38, 0, 5, 6]
        let version = try values.withUnsafeBufferPointer { vectors in
            try store.publish(vectors: vectors, manifest: manifest(2, 3, step: 7)) { url in
                try Data([1, 2, 3]).write(to: url.appendingPathComponent("graph.bin"))
            }
        }
        #expect(version == 1)
        #expect(try store.current() == 1)
        let opened = try #require(try IndexVersionStore(directory: store.directory).openCurrent())
        #expect(opened.faults.isEmpty)
        #expect(opened.version.manifest == manifest(2, 3, step: 7))
        #expect(opened.version.vectors.elementsEqual(values))
        #expect(Int(bitPattern: opened.version.vectors.baseAddress) % 64 == 0)
        #expect(
            FileManager.default.fileExists(
                atPath: opened.version.directory.appendingPathComponent("graph.bin").path))
        try opened.version.verify()

        #expect(try store.publish(8) == 2)
        #expect(try store.current() == 2)
        #expect(opened.version.vectors.elementsEqual(values))
        #expect(try store.versions() == [1, 2])
        try store.makeCurrent(1)
        #expect(try store.current() == 1)
        #expect(try store.publish(9) == 3)
        #expect(throws: IndexStoreError.self) { try store.open(version: 4) }
    }

    @Test func acceptsNoVectors() throws {
        let folder = try TemporaryDirectory()
        let store = try IndexVersionStore(directory: folder.url)
        _ = try store.publish(1, count: 0)
        #expect(try store.openCurrent()?.version.vectors.isEmpty == true)
    }

    @Test func refusesVectorsThatDoNotFit() throws {
        let folder = try TemporaryDirectory()
        let store = try IndexVersionStore(directory: folder.url)
        for (vectors, count, dimension) in [
            ([1, 2, 3], 2, 2), ([1, .nan], 1, 2), ([.infinity], 1, 1), ([1], -1, -1),
            ([], .max, 2), ([1], 0, 0),
        ] as [([Float], Int, Int)] {
            #expect(throws: IndexStoreError.self) {
                try vectors.withUnsafeBufferPointer {
                    _ = try store.publish(vectors: $0, manifest: manifest(count, dimension))
                }
            }
        }
        #expect(try store.versions().isEmpty)
    }

    @Test func removesOnlyWhatNobodyNeeds() throws {
        let folder = try TemporaryDirectory()
        let store = try IndexVersionStore(directory: folder.url)
        for value in 1...6 { _ = try store.publish(Float(value)) }
        let other = try IndexVersionStore(directory: folder.url)
        var held: StoredIndexVersion? = try other.open(version: 2)
        #expect(try store.remove(olderThan: 6, keeping: [4]) == [1, 3, 5])
        #expect(try store.versions() == [2, 4, 6])
        #expect(held?.vectors.first == 2)
        try held?.verify()
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
        let store = try IndexVersionStore(directory: folder.url)
        for value in 1...3 { _ = try store.publish(Float(value)) }
        for name in ["embeddings.safetensors", "manifest.json"] {
            let file = folder.file("versions/000003/\(name)")
            let whole = try Data(contentsOf: file)
            try whole.dropLast(2).write(to: file)
            let opened = try #require(try store.openCurrent())
            #expect(opened.version.version == 2 && opened.faults.count == 1)
            #expect("\(opened.faults)".contains("000003"))
            try whole.write(to: file)
        }
        try Data("nonsense".utf8).write(to: folder.file("CURRENT"))
        #expect(throws: IndexStoreError.self) { try store.current() }
        #expect(throws: IndexStoreError.self) { try store.remove(olderThan: 9) }
        let opened = try #require(try store.openCurrent())
        #expect(opened.version.version == 3 && opened.faults.count == 1)
    }

    /// Every file of a version, cut anywhere or with any bit changed, is found when it is opened.
    @Test func findsDamage() throws {
        let folder = try TemporaryDirectory()
        let store = try IndexVersionStore(directory: folder.url)
        _ = try store.publish(1)
        for name in ["embeddings.safetensors", "manifest.json"] {
            let file = folder.file("versions/000001/\(name)")
            let whole = try Data(contentsOf: file)
            for position in whole.indices {
                var changed = whole
                changed[position] ^= 1 << UInt8(position % 8)
                for bytes in [changed, whole.prefix(position)] {
                    try bytes.write(to: file)
                    // A manifest may lose its last line break: nothing in it has changed then.
                    if name == "manifest.json", position == whole.count - 1 { continue }
                    do {
                        let opened = try store.open(version: 1)
                        // White space between the values of a manifest does not matter either.
                        #expect(name == "manifest.json", "byte \(position)")
                        #expect(opened.manifest == manifest(3, 5, step: 1))
                    } catch {
                        #expect(error is IndexStoreError, "\(error)")
                    }
                }
            }
            try whole.write(to: file)
        }
        try store.open(version: 1).verify()
    }

    @Test(arguments: [false, true])
    func keepsOldOrNewWhereverTheDiskFails(forGood: Bool) throws {
        let folder = try TemporaryDirectory()
        let store = try IndexVersionStore(directory: folder.url)
        _ = try store.publish(1)
        for number in 0..<100 {
            let before = try #require(try store.current())
            let (failed, error) = withFailingDisk(at: number, forGood: forGood) {
                _ = try store.publish(2)
                try store.remove(olderThan: .max)
            }
            let current = try #require(try IndexVersionStore(directory: folder.url).current())
            #expect(current >= before)
            let opened = try store.open(version: current)
            try opened.verify()
            #expect(Set(opened.vectors).count == 1)
            if !failed {
                #expect(opened.vectors.first == 2 && error == nil)
                #expect(number > 10)
                return
            }
        }
        Issue.record("the disk never worked")
    }

    @Test func sweepsWhatAKilledWriterLeft() throws {
        let folder = try TemporaryDirectory()
        let store = try IndexVersionStore(directory: folder.url)
        _ = try store.publish(1)
        let left = folder.file("versions/000002.tmp-\(pid_t.max)-1f")
        try FileManager.default.createDirectory(at: left, withIntermediateDirectories: false)
        #expect(try store.versions() == [1])
        _ = try IndexVersionStore(directory: folder.url)
        #expect(!FileManager.default.fileExists(atPath: left.path))
    }
}
