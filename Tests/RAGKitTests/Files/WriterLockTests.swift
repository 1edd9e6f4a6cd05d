import Foundation
import Testing

@testable import RAGKit

/// The program that locks files from a shell, where there is one.
private let flockProgram = "/usr/bin/flock"

@Suite struct WriterLockTests {
    private func versions(in folder: TemporaryDirectory) -> VersionedDirectory {
        VersionedDirectory(
            directory: folder.url, kind: KnowledgeBase.kind, layout: .sharedFiles)
    }

    @Test func oneWriterAtATime() throws {
        let folder = try TemporaryDirectory()
        let versions = versions(in: folder)
        let first = try versions.lock()
        let busy = VersionError.busy(directory: folder.url.path, process: getpid())
        #expect(throws: busy) { _ = try versions.lock() }
        #expect(busy.description.contains("process \(getpid())"))
        #expect(try folder.names() == [".lock"])
        withExtendedLifetime(first) {}
    }

    @Test func theLockGoesWithItsHolder() throws {
        let folder = try TemporaryDirectory()
        let versions = versions(in: folder)
        for _ in 0..<3 {
            var lock: WriterLock? = try versions.lock()
            #expect(try folder.names() == [".lock"])
            withExtendedLifetime(lock) {}
            lock = nil
            #expect(try folder.names().isEmpty)
        }
        // What a writer that was killed left locks nobody out.
        try folder.write("1\n".utf8, to: ".lock")
        let lock = try versions.lock()
        #expect(throws: VersionError.busy(directory: folder.url.path, process: getpid())) {
            _ = try versions.lock()
        }
        withExtendedLifetime(lock) {}
    }

    /// Many threads: never two inside.
    @Test func threadsTakeTurns() async throws {
        let folder = try TemporaryDirectory()
        let versions = versions(in: folder)
        let inside = folder.file("inside")
        let entered = try await withThrowingTaskGroup(of: Int.self) { group in
            for _ in 0..<4 {
                group.addTask {
                    var entered = 0
                    for _ in 0..<200 {
                        guard let lock = try? versions.lock() else { continue }
                        // Creating a file that is there already fails.
                        close(try FileCalls.create(inside.path))
                        try FileCalls.remove(inside.path)
                        entered += 1
                        withExtendedLifetime(lock) {}
                    }
                    return entered
                }
            }
            return try await group.reduce(0, +)
        }
        #expect(entered > 0)
        #expect(try folder.names().isEmpty)
    }

    /// Every kind of writer takes the lock.
    @Test func allWritersAreKeptOut() throws {
        let folder = try TemporaryDirectory()
        let (url, other) = (folder.file("kb"), folder.file("index"))
        try KnowledgeBase(passages: TinyRag.passages).save(to: url)
        let base = try KnowledgeBase(contentsOf: url)
        let store = try IndexStore(directory: other)
        _ = try store.publish(VectorFile(.zeros([6, 2])))
        let locks = try [WriterLock(url), WriterLock(other)]
        let busy = [url, other].map {
            VersionError.busy(directory: $0.path, process: getpid())
        }
        #expect(throws: busy[0]) { try base.save(to: url) }
        #expect(throws: busy[0]) {
            try base.addTokenIDs(fingerprint: "t") { $0.map { _ in [] } }
        }
        #expect(throws: busy[1]) { _ = try store.publish(VectorFile(.full([6, 2], 1))) }
        #expect(throws: busy[1]) { try store.makeCurrent(1) }
        withExtendedLifetime(locks) {}
        // Readers are not, and nothing has changed.
        try KnowledgeBase(contentsOf: url).verify()
        #expect(try store.versions() == [1] && store.open()?.version.number == 1)
    }

    #if os(Linux)
        /// A shell that locks `path` as a writer does, says so, and waits for the end of its input.
        private func shell(_ path: String, _ script: String) throws -> (Process, Pipe, Pipe) {
            let process = Process()
            let (input, output) = (Pipe(), Pipe())
            process.executableURL = URL(fileURLWithPath: "/bin/sh")
            process.arguments = ["-c", script, "sh", path]
            process.standardInput = input
            process.standardOutput = output
            try process.run()
            return (process, input, output)
        }

        private func text(_ pipe: Pipe) -> String {
            String(decoding: pipe.fileHandleForReading.availableData, as: UTF8.self)
        }

        /// A writer in another process is named; when it is killed, its lock is gone.
        @Test(.enabled(if: FileManager.default.isExecutableFile(atPath: flockProgram)))
        func anotherProcess() throws {
            let folder = try TemporaryDirectory()
            let versions = versions(in: folder)
            let path = folder.file(".lock").path
            let (process, input, output) = try shell(
                path, #"exec 9>>"$1"; flock 9; echo $$ >&9; echo ready; read line"#)
            #expect(text(output) == "ready\n")
            let id = process.processIdentifier
            #expect(throws: VersionError.busy(directory: folder.url.path, process: id)) {
                _ = try versions.lock()
            }
            kill(id, SIGKILL)
            process.waitUntilExit()
            withExtendedLifetime(input) {}
            #expect(FileManager.default.fileExists(atPath: path))

            let lock = try versions.lock()
            let (second, _, answer) = try shell(
                path, #"exec 9>>"$1"; flock -n 9 && echo free || echo busy; cat "$1""#)
            second.waitUntilExit()
            #expect(text(answer) == "busy\n\(getpid())\n")
            withExtendedLifetime(lock) {}
        }
    #endif
}
