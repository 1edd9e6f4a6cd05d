import Foundation
import Synchronization
import Testing

@testable import RAGKit

struct Planned: Error {}

/// Runs `body` with a disk that fails at call `number`, and for good from there on if `forGood`,
/// as after a crash. Returns whether the disk failed, so that callers can try every number.
func withFailingDisk(
    at number: Int, forGood: Bool, _ body: () throws -> Void
) -> (failed: Bool, error: (any Error)?) {
    let calls = Mutex(0)
    let interceptor = FileCalls.Interceptor { _ in
        let call = calls.withLock { calls in
            defer { calls += 1 }
            return calls
        }
        if call == number || (forGood && call > number) { throw Planned() }
    }
    let error: (any Error)? = FileCalls.$interceptor.withValue(interceptor) {
        do {
            try body()
            return nil
        } catch {
            return error
        }
    }
    return (calls.withLock { $0 } > number, error)
}

@Suite(.tags(.files)) struct AtomicFileTests {
    @Test func replacesAFile() throws {
        let folder = try TemporaryDirectory()
        let url = try folder.write("old".utf8, to: "file")
        try AtomicFile.write("new ☃", to: url)
        #expect(try String(contentsOf: url, encoding: .utf8) == "new ☃")
        try AtomicFile.write([], to: url)
        #expect(try Data(contentsOf: url).isEmpty)
        #expect(try folder.names() == ["file"])
    }

    @Test func writesLargeAndSmallPiecesInOrder() throws {
        let folder = try TemporaryDirectory()
        var expected: [UInt8] = []
        let count = try AtomicFile.write(to: folder.file("file")) { sink in
            for size in [1, 7, 262_143, 262_144, 5, 1_000_000, 0, 3] {
                let piece = (0..<size).map { UInt8(truncatingIfNeeded: $0 &* 31 &+ size) }
                expected += piece
                try sink.write(piece)
            }
            return sink.count
        }
        #expect(count == expected.count)
        #expect(try Array(Data(contentsOf: folder.file("file"))) == expected)
    }

    @Test func keepsTheOldFileWhenTheClosureThrows() throws {
        let folder = try TemporaryDirectory()
        let url = try folder.write("old".utf8, to: "file")
        #expect(throws: Planned.self) {
            try AtomicFile.write(to: url) { sink in
                try sink.write([UInt8](repeating: 0, count: 2_000_000))
                throw Planned()
            }
        }
        #expect(try String(contentsOf: url, encoding: .utf8) == "old")
        #expect(try folder.names() == ["file"])
    }

    @Test(arguments: [false, true])
    func keepsOldOrNewWhereverTheDiskFails(forGood: Bool) throws {
        let folder = try TemporaryDirectory()
        let url = folder.file("file")
        for number in 0..<100 {
            try AtomicFile.write("old", to: url)
            let (failed, error) = withFailingDisk(at: number, forGood: forGood) {
                try AtomicFile.write("new", to: url)
            }
            let text = try String(contentsOf: url, encoding: .utf8)
            #expect(text == "old" || text == "new")
            if !failed {
                #expect(text == "new" && error == nil)
                #expect(number > 3)
                return
            }
            #expect(error != nil)
            if !forGood { #expect(try folder.names() == ["file"]) }
        }
        Issue.record("the disk never worked")
    }

    @Test func namesThePathAndTheReason() throws {
        let folder = try TemporaryDirectory()
        let error = #expect(throws: FileError.self) {
            try AtomicFile.write("x", to: folder.file("none/file"))
        }
        #expect(error?.description.contains("none/file") == true)
        #expect(error?.description.contains("No such file or directory") == true)
    }

    @Test func removesOnlyLeftoversOfTheDead() throws {
        let folder = try TemporaryDirectory()
        // No process has the highest number a pid_t can hold.
        let dead = "file.tmp-\(pid_t.max)-abc"
        let names = [dead, "file.tmp-\(getpid())-abc", "file.tmp-1-abc", "a.tmp-x-1", "file"]
        for name in names { try folder.write([1], to: name) }
        #expect(try AtomicFile.removeLeftovers(in: folder.url) == [dead])
        #expect(try folder.names() == names.dropFirst().sorted())
    }
}

@Suite(.tags(.files)) struct AtomicDirectoryTests {
    private func write(_ text: String, to url: URL, replacing: Bool) throws {
        try AtomicDirectory.write(to: url, replacing: replacing) { folder in
            try AtomicFile.write(text, to: folder.appendingPathComponent("a"))
            let inner = folder.appendingPathComponent("inner")
            try FileManager.default.createDirectory(at: inner, withIntermediateDirectories: false)
            try Data(text.utf8).write(to: inner.appendingPathComponent("b"))
        }
    }

    private func contents(_ url: URL) throws -> [String] {
        try ["a", "inner/b"].map {
            try String(contentsOf: url.appendingPathComponent($0), encoding: .utf8)
        }
    }

    @Test func writesAndReplaces() throws {
        let folder = try TemporaryDirectory()
        let url = folder.file("folder")
        try write("old", to: url, replacing: false)
        #expect(try contents(url) == ["old", "old"])
        #expect(throws: FileError.alreadyExists(path: url.path)) {
            try write("new", to: url, replacing: false)
        }
        #expect(try contents(url) == ["old", "old"])
        let mapped = try MappedFile(contentsOf: url.appendingPathComponent("a"))
        try write("new", to: url, replacing: true)
        #expect(try contents(url) == ["new", "new"])
        #expect(mapped.bytes.elementsEqual("old".utf8))
        #expect(try folder.names() == ["folder"])
    }

    @Test func leavesNothingWhenTheClosureThrows() throws {
        let folder = try TemporaryDirectory()
        #expect(throws: Planned.self) {
            try AtomicDirectory.write(to: folder.file("folder")) { temporary in
                try Data([1]).write(to: temporary.appendingPathComponent("a"))
                throw Planned()
            }
        }
        #expect(try folder.names().isEmpty)
    }

    @Test(arguments: [false, true])
    func keepsOldOrNewWhereverTheDiskFails(forGood: Bool) throws {
        let folder = try TemporaryDirectory()
        let url = folder.file("folder")
        for number in 0..<100 {
            try write("old", to: url, replacing: true)
            let (failed, error) = withFailingDisk(at: number, forGood: forGood) {
                try write("new", to: url, replacing: true)
            }
            let texts = try contents(url)
            #expect(texts == ["old", "old"] || texts == ["new", "new"], "call \(number)")
            if !failed {
                #expect(texts == ["new", "new"] && error == nil)
                #expect(number > 8)
                return
            }
        }
        Issue.record("the disk never worked")
    }
}

@Suite(.tags(.files)) struct MappedFileTests {
    @Test(arguments: [0, 1, 4096, 100_000])
    func readsTheSameMappedAndCopied(count: Int) throws {
        let folder = try TemporaryDirectory()
        let bytes = (0..<count).map { UInt8(truncatingIfNeeded: $0 &* 7) }
        let url = try folder.write(bytes, to: "file")
        for access in [MappedFile.Access.mapped, .copied] {
            let file = try MappedFile(contentsOf: url, access: access)
            #expect(file.bytes.elementsEqual(bytes))
            #expect(Int(bitPattern: file.bytes.baseAddress) % 64 == 0)
        }
    }

    /// Somebody on a network may cut the file off in place: a copy does not see it.
    @Test func copiesOutliveTruncation() throws {
        let folder = try TemporaryDirectory()
        let bytes = (0..<10_000).map { UInt8(truncatingIfNeeded: $0 &* 7) }
        let url = try folder.write(bytes, to: "file")
        let file = try MappedFile(contentsOf: url, access: .copied)
        #expect(truncate(url.path, 10) == 0)
        #expect(file.bytes.elementsEqual(bytes))
    }

    @Test func refusesWhatIsNoFile() throws {
        let folder = try TemporaryDirectory()
        #expect(throws: FileError.notAFile(path: folder.url.path)) {
            _ = try MappedFile(contentsOf: folder.url)
        }
        #expect(mkfifo(folder.file("pipe").path, 0o600) == 0)
        #expect(throws: FileError.self) { _ = try MappedFile(contentsOf: folder.file("pipe")) }
        let error = #expect(throws: FileError.self) {
            _ = try MappedFile(contentsOf: folder.file("none"))
        }
        #expect(error?.isMissing == true)
    }
}
