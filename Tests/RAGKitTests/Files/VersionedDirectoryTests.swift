import Foundation
import Testing

@testable import RAGKit

private let kind = VersionKind(
    format: "ragkit-test", formatVersion: 3, noun: "a test", remedy: "run the test again")

extension VersionedDirectory {
    /// Every place where a version's manifest and files can lie.
    fileprivate static let layouts: [Layout] = [
        .folders(in: nil), .folders(in: "versions"), .sharedFiles,
    ]

    /// Writes a version with one file, under the writer's lock, and makes it the live one.
    @discardableResult
    fileprivate func write(_ text: String, as name: String) throws -> VersionManifest {
        let lock = try lock()
        defer { withExtendedLifetime(lock) {} }
        let content: JSONObject = ["words": .string(text)]
        if layout != .sharedFiles {
            let draft = try begin(name)
            try AtomicFile.write(text, to: draft.folder.appendingPathComponent("text"))
            return try draft.finish(content: content, isCurrent: true)
        }
        let path = "parts/\(name)/text"
        let url = directory.appendingPathComponent(path)
        try FileCalls.makeDirectories(url.deletingLastPathComponent())
        try AtomicFile.write(text, to: url)
        var manifest = VersionManifest(name: name, content: content, files: FileList())
        manifest.files[path] = try FileDigest(contentsOf: url)
        try publish(manifest)
        return manifest
    }

    /// The text of a version whose files are compared with their checksums.
    fileprivate func text(of name: String) throws -> String {
        let manifest = try open(name, isWhole: true)
        let path = try #require(manifest.files.paths.first)
        let text = try String(
            contentsOf: folder(of: name).appendingPathComponent(path), encoding: .utf8)
        #expect(manifest.content["words"]?.stringValue == text && manifest.name == name)
        return text
    }
}

@Suite struct VersionedDirectoryTests {
    private func versions(
        in folder: TemporaryDirectory, _ layout: VersionedDirectory.Layout
    ) throws -> VersionedDirectory {
        let versions = VersionedDirectory(
            directory: folder.file("base"), kind: kind, layout: layout)
        try versions.prepare()
        return versions
    }

    private func paths(_ folder: TemporaryDirectory) throws -> [String] {
        try FileManager.default.subpathsOfDirectory(atPath: folder.url.path).sorted()
    }

    @Test(arguments: VersionedDirectory.layouts)
    func publishesAndOpens(layout: VersionedDirectory.Layout) throws {
        let folder = try TemporaryDirectory()
        let versions = try versions(in: folder, layout)
        #expect(try versions.current() == nil)
        for (number, text) in ["one", "two", "three"].enumerated() {
            try versions.write(text, as: VersionedDirectory.name(number + 1))
            #expect(try versions.current() == VersionedDirectory.name(number + 1))
        }
        let names = ["000001", "000002", "000003"]
        #expect(try versions.names { Int($0) != nil } == names)
        #expect(try names.map { try versions.text(of: $0) } == ["one", "two", "three"])
        try versions.makeCurrent("000002")
        #expect(try versions.current() == "000002")
        #expect(try versions.text(of: "000003") == "three")

        let error = #expect(throws: VersionError.self) { _ = try versions.open("000004") }
        #expect(error?.description.contains("it is not there; run the test again") == true)
        #expect(throws: VersionError.self) { try versions.makeCurrent("000004") }
        #expect(try versions.current() == "000002")
        let left = try paths(folder).filter { $0.contains(".tmp-") || $0.contains(".lock") }
        #expect(left.isEmpty, "\(left)")
    }

    /// Names may be words; where they end in a number, that is what sorts them.
    @Test(arguments: VersionedDirectory.layouts)
    func namesSortByTheirNumbers(layout: VersionedDirectory.Layout) throws {
        let folder = try TemporaryDirectory()
        let versions = try versions(in: folder, layout)
        for name in ["checkpoint-500", "best", "checkpoint-60", "checkpoint-1000"] {
            try versions.write(name, as: name)
        }
        #expect(
            try versions.names { $0.hasPrefix("checkpoint-") }
                == ["checkpoint-60", "checkpoint-500", "checkpoint-1000"])
        #expect(try versions.current() == "checkpoint-1000")
        #expect(try versions.text(of: "best") == "best")
        #expect(VersionedDirectory.name(7) == "000007")
        #expect(VersionedDirectory.name(12_345_678) == "12345678")
        #expect(VersionedDirectory.name(3, width: 4) == "0003")
    }

    // MARK: - What cannot be read

    @Test(arguments: VersionedDirectory.layouts)
    func otherKindsAndFormats(layout: VersionedDirectory.Layout) throws {
        let folder = try TemporaryDirectory()
        let versions = try versions(in: folder, layout)
        try versions.write("one", as: "000001")
        let path = versions.manifestURL(of: "000001").path
        var other = kind
        other.format = "ragkit-other"
        let foreign = VersionedDirectory(
            directory: versions.directory, kind: other, layout: layout)
        #expect(
            throws: VersionError.foreign(
                path: path, expected: "a test", reason: "its manifest is of another kind")
        ) { _ = try foreign.open("000001") }
        var newer = kind
        newer.formatVersion = 4
        let expected = VersionError.otherFormat(
            file: path, found: "3", expected: 4, remedy: "run the test again")
        let later = VersionedDirectory(
            directory: versions.directory, kind: newer, layout: layout)
        #expect(throws: expected) { _ = try later.open("000001") }
        for word in [path, "format version 3", "reads 4", "run the test again"] {
            #expect(expected.description.contains(word), "\(word)")
        }
    }

    /// Files of earlier versions of RAGKit are refused with a sentence that says how to make them
    /// again.
    @Test func earlierFormatsSayHowToGoOn() throws {
        let folder = try TemporaryDirectory()
        let url = folder.file("kb")
        try KnowledgeBase(passages: TinyRag.passages).save(to: url)
        let store = try IndexStore(directory: folder.file("index"))
        _ = try store.publish(VectorFile(.zeros([2, 3])))
        for (directory, layout, kind) in [
            (url, .sharedFiles, KnowledgeBase.kind),
            (store.directory, .folders(in: "versions"), IndexStore.kind),
        ] as [(URL, VersionedDirectory.Layout, VersionKind)] {
            let now = VersionedDirectory(directory: directory, kind: kind, layout: layout)
            var old = kind
            old.formatVersion = 1
            try VersionedDirectory(directory: directory, kind: old, layout: layout)
                .publish(now.manifest(of: "000001"))
            let expected = VersionError.otherFormat(
                file: now.manifestURL(of: "000001").path, found: "1",
                expected: kind.formatVersion, remedy: kind.remedy)
            #expect(throws: expected) {
                if layout == .sharedFiles {
                    _ = try KnowledgeBase(contentsOf: directory)
                } else {
                    _ = try store.open()
                }
            }
            #expect(expected.description.contains("again"))
        }
    }

    /// A manifest cannot name a file outside its folder, even one that has the right checksum.
    @Test(arguments: [
        "../x", "", "a//b", "/etc", ".", "..", "a/../../x", "a/", ".x", "a/.x", "a b",
    ])
    func escapes(path: String) throws {
        let folder = try TemporaryDirectory()
        let versions = try versions(in: folder, .sharedFiles)
        let outside = try folder.write("x".utf8, to: "x")
        let digest = try FileDigest(contentsOf: outside)
        #expect(!FileList.isSafe(path: path))
        try folder.write("x".utf8, to: "base/x.y-z_1")
        for (name, isGood) in [("x.y-z_1", true), (path, false)] {
            var manifest = VersionManifest(name: "1", content: [:], files: FileList())
            manifest.files[name] = digest
            try versions.publish(manifest)
            if isGood {
                #expect(try versions.open("1", isWhole: true) == manifest)
                continue
            }
            let error = #expect(throws: VersionError.self) { _ = try versions.open("1") }
            #expect(error?.description.contains("the path '\(path)'") == true)
        }
    }

    @Test(
        arguments: [
            "", "1", "../x 1f\n", "a/b 1f\n", ".x 1f\n", "1 zz\n", "1 1F\n", "1 1f", " 1f\n",
            "1 1f \n", "1 100000000\n",
        ])
    func currentNamesNoVersion(text: String) throws {
        let folder = try TemporaryDirectory()
        let versions = try versions(in: folder, .sharedFiles)
        try folder.write(text.utf8, to: "base/CURRENT")
        let error = #expect(throws: VersionError.self) { _ = try versions.current() }
        #expect(error?.description.contains("base/CURRENT") == true)
        try folder.write("1 1f\n".utf8, to: "base/CURRENT")
        #expect(try versions.current() == "1")
    }

    // MARK: - Drafts and holds

    @Test(arguments: [VersionedDirectory.Layout.folders(in: nil), .folders(in: "versions")])
    func anUnfinishedDraftLeavesNothing(layout: VersionedDirectory.Layout) throws {
        let folder = try TemporaryDirectory()
        let versions = try versions(in: folder, layout)
        let before = try paths(folder)
        func begin(_ name: String, finishing: Bool) throws {
            let draft = try versions.begin("000001")
            try FileCalls.makeDirectory(draft.folder.path + "/inner")
            try Data([1]).write(to: draft.folder.appendingPathComponent("inner/\(name)"))
            #expect(try paths(folder).count > before.count + 2)
            if finishing { _ = try draft.finish(content: [:], isCurrent: false) }
            withExtendedLifetime(draft) {}
        }
        try begin("file", finishing: false)
        #expect(try paths(folder) == before)
        // A name that no manifest may hold is refused before anything is published.
        #expect(throws: FileError.self) { try begin("no name", finishing: true) }
        #expect(try paths(folder) == before)
        try begin("file", finishing: true)
        #expect(try versions.open("000001", isWhole: true).files.paths == ["inner/file"])
        #expect(try versions.current() == nil)
        #expect(throws: FileError.self) { try begin("file", finishing: true) }
    }

    @Test func aVersionCanBeReplaced() throws {
        let folder = try TemporaryDirectory()
        let versions = try versions(in: folder, .folders(in: nil))
        try versions.write("old", as: "best")
        let draft = try versions.begin("best", replacing: true)
        try AtomicFile.write("new", to: draft.folder.appendingPathComponent("text"))
        #expect(try versions.text(of: "best") == "old")
        _ = try draft.finish(content: ["words": "new"], isCurrent: true)
        #expect(try versions.text(of: "best") == "new")
    }

    /// Every holder counts, whichever way it names the folder.
    @Test func holdsKeepAVersion() throws {
        let folder = try TemporaryDirectory()
        let versions = try versions(in: folder, .folders(in: "versions"))
        for name in ["1", "2"] { try versions.write(name, as: name) }
        let link = folder.file("link")
        try FileManager.default.createSymbolicLink(
            at: link, withDestinationURL: versions.directory)
        let linked = VersionedDirectory(directory: link, kind: kind, layout: versions.layout)
        var holds = [versions.hold("1"), linked.hold("1")]
        while !holds.isEmpty {
            #expect(try !versions.remove("1") && !linked.remove("1"))
            #expect(try versions.text(of: "1") == "1")
            holds.removeLast()
        }
        #expect(try versions.remove("1"))
        #expect(try versions.names() == ["2"])
        #expect(try versions.text(of: "2") == "2")
    }

    /// Files that the newer version lists too stay, and so does what nobody listed.
    @Test func removingSharedFiles() throws {
        let folder = try TemporaryDirectory()
        let versions = try versions(in: folder, .sharedFiles)
        let old = try versions.write("old", as: "1")
        try versions.write("also", as: "2")
        var newer = try versions.manifest(of: "2")
        newer.name = "3"
        newer.files = old.files
        try versions.publish(newer)
        try folder.write([1], to: "base/parts/notes.txt")
        try versions.remove(versions.manifest(of: "2"), keeping: newer)
        try versions.remove(old, keeping: newer)
        let found = try paths(folder)
        #expect(found.contains("base/parts/1/text"))
        #expect(!found.contains("base/parts/2") && found.contains("base/parts/notes.txt"))
        #expect(try versions.names() == ["3"])
        #expect(try versions.open("3", isWhole: true) == newer)
    }

    // MARK: - Failing disks

    @Test(arguments: VersionedDirectory.layouts, [false, true])
    func keepsOldOrNewWhereverTheDiskFails(
        layout: VersionedDirectory.Layout, forGood: Bool
    ) throws {
        for number in 0..<100 {
            let folder = try TemporaryDirectory()
            let versions = try versions(in: folder, layout)
            try versions.write("old", as: "000001")
            let (failed, error) = withFailingDisk(at: number, forGood: forGood) {
                _ = try versions.write("new", as: "000002")
            }
            let current = try #require(try versions.current())
            #expect(try versions.text(of: "000001") == "old")
            #expect(try versions.text(of: current) == (current == "000001" ? "old" : "new"))
            let left = try paths(folder).filter { $0.hasSuffix(".lock") || $0.contains(".tmp-") }
            #expect(left.isEmpty || forGood, "call \(number): \(left)")
            _ = try versions.lock()  // nobody is kept out
            if !failed {
                #expect(current == "000002" && error == nil)
                #expect(number > 12)
                return
            }
            #expect(error is Planned, "call \(number)")
        }
        Issue.record("the disk never worked")
    }
}
