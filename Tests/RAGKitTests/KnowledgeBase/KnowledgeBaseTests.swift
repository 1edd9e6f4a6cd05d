import Foundation
import Testing

@testable import RAGKit

private func makePassages(_ count: Int) -> [Passage] {
    (0..<count).map { number in
        Passage(
            id: PassageID(number), title: number % 3 == 0 ? "" : "Title \(number) é",
            text: String(repeating: "word\(number) ☃ ", count: number % 7) + "e\u{301}",
            provenance: Provenance(document: "doc-\(number / 4)", piece: number % 4))
    }
}

private func ids(of number: Int) -> [Int32] {
    (0..<(number * 5) % 8).map { Int32(number * 100 + $0) }
}

/// Passages one by one, and byte for byte.
private func expectSame(_ base: KnowledgeBase, _ passages: [Passage]) throws {
    #expect(base.count == passages.count)
    for passage in passages {
        let found = try base[passage.id]
        #expect(found == passage)
        #expect(Array(found.text.utf8) == Array(passage.text.utf8))
    }
}

@Suite(.tags(.files)) struct KnowledgeBaseTests {
    @Test(arguments: [1, 300, 1 << 20])
    func roundTrip(segmentByteCount: Int) throws {
        let folder = try TemporaryDirectory()
        let url = folder.file("deep/kb")
        let passages = makePassages(50)
        let memory = KnowledgeBase(passages: passages)
        try memory.addTokenIDs(fingerprint: "bert/ü") { $0.map { ids(of: $0.id.rawValue) } }
        try expectSame(memory, passages)
        try memory.save(to: url, segmentByteCount: segmentByteCount)

        let base = try KnowledgeBase(contentsOf: url)
        try expectSame(base, passages)
        try base.verify()
        #expect(base.tokenFingerprints == ["bert/ü"])
        for column in [memory, base].compactMap({ $0.tokenIDs(fingerprint: "bert/ü") }) {
            #expect(column.count == 50)
            for number in 0..<50 {
                #expect(column[number] == ids(of: number))
                #expect(column.length(at: number) == ids(of: number).count)
            }
        }
        #expect(base.tokenIDs(fingerprint: "other") == nil)
        let segments = try FileManager.default.contentsOfDirectory(atPath: url.path + "/segments")
        let expected = [1: 50...50, 300: 5...40, 1 << 20: 1...1]
        #expect(expected[segmentByteCount]?.contains(segments.count) == true)
        #expect(try base.passages([3, 0, 3]) == [passages[3], passages[0], passages[3]])
    }

    @Test func refusesPassagesThatAreNotThere() throws {
        let base = KnowledgeBase(passages: makePassages(2))
        for id in [-1, 2, Int.max, Int.min] {
            #expect(throws: KnowledgeBaseError.noSuchPassage(id: PassageID(id), count: 2)) {
                try base.passage(PassageID(id))
            }
        }
        let empty = KnowledgeBase(passages: [])
        #expect(empty.count == 0)
        #expect(throws: KnowledgeBaseError.self) { try empty[0] }
    }

    @Test func savesEmptyBases() throws {
        let folder = try TemporaryDirectory()
        try KnowledgeBase(passages: []).save(to: folder.file("kb"))
        #expect(try KnowledgeBase(contentsOf: folder.file("kb")).count == 0)
    }

    @Test func buildsFromFiles() throws {
        let folder = try TemporaryDirectory()
        let first = try folder.write("A\ta b c d e\nB\t \nbad\n\nC\tx\n".utf8, to: "a.tsv")
        let second = try folder.write(#"{"id":"j","title":"J","text":"y"}"#.utf8, to: "b.jsonl")
        let (base, report) = try KnowledgeBase.build(
            from: [first, second], reader: PassageReader(onBadRow: .skip),
            splitter: PassageSplitter(wordsPerPassage: 2), at: folder.file("kb"))
        #expect(
            try (0..<base.count).map { try base[PassageID($0)].text } == [
                "a b", "c d", "e", "x", "y",
            ])
        #expect(try base[2].provenance == Provenance(document: "a.tsv:1", piece: 2))
        #expect(try base[4].provenance == Provenance(document: "j", piece: 0))
        #expect(report.rows == 5 && report.badRows == 1 && report.blankLines == 1)
        #expect(report.emptyTexts == 1 && report.passages == 5)
    }

    @Test func refusesToBuildFromNothing() throws {
        let folder = try TemporaryDirectory()
        let blank = try folder.write("A\t \nB\t\n".utf8, to: "a.tsv")
        for files in [[], [blank]] {
            #expect(throws: KnowledgeBaseError.self) {
                _ = try KnowledgeBase.build(from: files, at: folder.file("kb"))
            }
            #expect(try folder.names() == ["a.tsv"])
        }
        #expect(throws: KnowledgeBaseError.self) {
            _ = try KnowledgeBase(documents: [SourceDocument(id: "a", title: "A", text: " ")])
        }
    }

    @Test func refusesFoldersOfOthers() throws {
        let folder = try TemporaryDirectory()
        try folder.write([1], to: "precious")
        let error = #expect(throws: VersionError.self) {
            try KnowledgeBase(passages: makePassages(3)).save(to: folder.url)
        }
        #expect(error?.description.contains("choose a new or empty folder") == true)
        #expect(try folder.names() == ["precious"])
        #expect(throws: VersionError.self) { try KnowledgeBase(contentsOf: folder.url) }
    }

    /// A writer removes the files of the manifest before: a manifest that names others is refused.
    @Test(arguments: ["CURRENT", "segments", "precious", "segments/0002/x", "segments/0001/a/b"])
    func refusesManifestsThatNameOtherFiles(path: String) throws {
        let folder = try TemporaryDirectory()
        let url = folder.file("kb")
        try KnowledgeBase(passages: makePassages(2)).save(to: url)
        var manifest = try KnowledgeBase.liveManifest(in: url).stored
        manifest.files[path] = FileDigest(byteCount: 0, blocks: [])
        try KnowledgeBase.versions(in: url).publish(manifest)
        let error = #expect(throws: VersionError.self) {
            try KnowledgeBase(passages: makePassages(3)).save(to: url)
        }
        #expect(error?.description.contains(path) == true)
        #expect(FileManager.default.fileExists(atPath: url.path + "/segments/0001"))
    }

    /// Bases of the first format are told apart from damaged ones.
    @Test func namesTheFormatOfOldBases() throws {
        let folder = try TemporaryDirectory()
        try folder.write(Array("manifest-000001.json 1234\n".utf8), to: "CURRENT")
        let error = #expect(throws: VersionError.self) {
            try KnowledgeBase(contentsOf: folder.url)
        }
        guard case .otherFormat(_, "1", _, let remedy) = error else {
            Issue.record("\(String(describing: error))")
            return
        }
        #expect(remedy.contains("new folder"))
    }

    /// Who adds token ids replaces the manifest, not the files that others have open.
    @Test func verifiesWhatItOpened() throws {
        let folder = try TemporaryDirectory()
        let url = folder.file("kb")
        try KnowledgeBase(passages: makePassages(3)).save(to: url)
        let first = try KnowledgeBase(contentsOf: url)
        let second = try KnowledgeBase(contentsOf: url)
        try second.addTokenIDs(fingerprint: "t", offsets: [0, 0, 0, 0], ids: [])
        try first.verify()
    }

    @Test func savesOverTheFolderItWasOpenedFrom() throws {
        let folder = try TemporaryDirectory()
        let url = folder.file("kb")
        let passages = makePassages(40)
        try KnowledgeBase(passages: passages).save(to: url, segmentByteCount: 500)
        let base = try KnowledgeBase(contentsOf: url)
        try base.addTokenIDs(fingerprint: "t") { $0.map { ids(of: $0.id.rawValue) } }
        try Data([1]).write(to: url.appendingPathComponent("notes.txt"))

        try base.save(to: url)
        try expectSame(base, passages)  // still the files it had
        let again = try KnowledgeBase(contentsOf: url)
        try expectSame(again, passages)
        try again.verify()
        #expect(again.tokenIDs(fingerprint: "t")?[7] == ids(of: 7))
        let names = try FileManager.default.contentsOfDirectory(atPath: url.path).sorted()
        #expect(names == ["CURRENT", "manifest-000003.json", "notes.txt", "segments"])
        let segments = try FileManager.default.contentsOfDirectory(atPath: url.path + "/segments")
        #expect(segments.count == 1)
    }

    @Test func tokenIDsAreAddedReplacedAndChecked() throws {
        let folder = try TemporaryDirectory()
        let url = folder.file("kb")
        try KnowledgeBase(passages: makePassages(3)).save(to: url)
        let base = try KnowledgeBase(contentsOf: url)
        try base.addTokenIDs(fingerprint: "a", offsets: [0, 2, 2, 3], ids: [1, 2, 3])
        try base.addTokenIDs(fingerprint: "b", offsets: [0, 0, 0, 0], ids: [])
        try base.addTokenIDs(fingerprint: "a", offsets: [0, 1, 2, 3], ids: [4, 5, 6])
        try base.addTokenIDs(
            fingerprint: "m", offsets: [0, 1, 2, 3], ids: [7, 8, 9], storage: .memory)
        #expect(base.tokenIDs(fingerprint: "a")?[1] == [5])
        #expect(base.tokenIDs(fingerprint: "b")?.totalCount == 0)
        #expect(base.tokenFingerprints == ["a", "b", "m"])
        let again = try KnowledgeBase(contentsOf: url)
        try again.verify()
        #expect(again.tokenFingerprints == ["a", "b"])
        #expect(again.tokenIDs(fingerprint: "a")?[2] == [6])

        for offsets in [
            [], [0], [0, 1, 2], [0, 2, 1, 3], [1, 1, 2, 3], [0, 1, 2, 4], [0, -1, 2, 3],
        ] {
            #expect(throws: KnowledgeBaseError.self, "\(offsets)") {
                try base.addTokenIDs(fingerprint: "c", offsets: offsets, ids: [1, 2, 3])
            }
        }
        #expect(throws: KnowledgeBaseError.self) {
            try base.addTokenIDs(fingerprint: "c") { _ in [[1]] }
        }
        // Somebody else has added something since.
        try again.addTokenIDs(fingerprint: "d", offsets: [0, 0, 0, 0], ids: [])
        #expect(throws: VersionError.busy(directory: url.path, process: nil)) {
            try base.addTokenIDs(fingerprint: "e", offsets: [0, 0, 0, 0], ids: [])
        }
    }

    /// Every file cut anywhere, or with any bit changed, is found when the base is opened.
    @Test func findsDamage() throws {
        let folder = try TemporaryDirectory()
        let url = folder.file("kb")
        let base = KnowledgeBase(passages: makePassages(3))
        try base.addTokenIDs(fingerprint: "t") { $0.map { ids(of: $0.id.rawValue) } }
        try base.save(to: url)
        let names = [
            "CURRENT", "manifest-000001.json", "segments/0001/passages.safetensors",
            "segments/0001/token-ids-000001-0.safetensors",
        ]
        for name in names {
            let file = url.appendingPathComponent(name)
            let whole = try Data(contentsOf: file)
            for position in whole.indices {
                var changed = whole
                changed[position] ^= 1 << UInt8(position % 8)
                for bytes in [changed, whole.prefix(position)] {
                    try bytes.write(to: file)
                    #expect(throws: (any Error).self, "\(name), byte \(position)") {
                        try KnowledgeBase(contentsOf: url)
                    }
                }
            }
            try FileManager.default.removeItem(at: file)
            let error = #expect(throws: VersionError.self) { try KnowledgeBase(contentsOf: url) }
            #expect(error?.description.contains(name == "CURRENT" ? "kb" : name) == true)
            try whole.write(to: file)
        }
        #expect(try KnowledgeBase(contentsOf: url).count == 3)
    }

    @Test func verifyFindsDamageBehindTheFirstBlock() throws {
        let folder = try TemporaryDirectory()
        let url = folder.file("kb")
        let text = String(repeating: "x", count: 3 << 20)
        try KnowledgeBase(passages: [Passage(id: 0, title: "A", text: text)]).save(to: url)
        try KnowledgeBase(contentsOf: url).verify()
        let file = url.appendingPathComponent("segments/0001/passages.safetensors")
        var bytes = try Data(contentsOf: file)
        bytes[2_500_000] ^= 1
        try bytes.write(to: file)
        let base = try KnowledgeBase(contentsOf: url)
        let error = #expect(throws: VersionError.self) { try base.verify() }
        #expect(error?.description.contains("2097152..<") == true)
    }

    /// Columns that contradict each other although their checksums are right.
    @Test func survivesLyingColumns() throws {
        let folder = try TemporaryDirectory()
        let good: [Int64] = [0, 1, 2]
        for bad in [[0, 3, 2], [0, -1, 2], [1, 1, 2], [0, 1, 3], [0, .max, 2], [0, .min, 2]]
            as [[Int64]]
        {
            for column in ["title", "text", "document"] {
                var writer = SafetensorsWriter()
                for name in ["title", "text", "document"] {
                    let offsets = name == column ? bad : good
                    try writer.add("\(name).offsets", dtype: .int64, shape: [3], values: offsets)
                }
                try writer.add("piece", dtype: .int64, shape: [2], values: [0, 0] as [Int64])
                for name in ["title", "text", "document"] {
                    try writer.add(name, dtype: .uint8, shape: [2], values: [65, 66] as [UInt8])
                }
                let file = folder.file(KnowledgeBaseSegment.fileName)
                try writer.write(to: file)
                #expect(throws: VersionError.self) {
                    let segment = try KnowledgeBaseSegment(contentsOf: file, count: 2)
                    for row in 0..<2 { _ = try segment.passage(row, id: PassageID(row)) }
                }
            }
        }
    }

    @Test(.tags(.slow), .unlessFast, arguments: [false, true])
    func keepsOldOrNewWhereverTheDiskFails(forGood: Bool) throws {
        let folder = try TemporaryDirectory()
        let url = folder.file("kb")
        let old = makePassages(4)
        let new = makePassages(9)
        for number in 0..<300 {
            try? FileManager.default.removeItem(at: url)
            try KnowledgeBase(passages: old).save(to: url)
            let base = try KnowledgeBase(contentsOf: url)
            let (failed, error) = withFailingDisk(at: number, forGood: forGood) {
                try base.addTokenIDs(fingerprint: "t") { $0.map { ids(of: $0.id.rawValue) } }
                try KnowledgeBase(passages: new).save(to: url, segmentByteCount: 300)
            }
            let found = try KnowledgeBase(contentsOf: url)
            try found.verify()
            try expectSame(found, found.count == old.count ? old : new)
            if !failed {
                #expect(found.count == new.count && error == nil)
                #expect(number > 20)
                return
            }
        }
        Issue.record("the disk never worked")
    }

    @Test(.enabled(if: ExtraFiles.has("passages.tsv", in: ExtraFiles.data)))
    func importsARealFile() throws {
        let file = try #require(ExtraFiles.data).appendingPathComponent("passages.tsv")
        let folder = try TemporaryDirectory()
        let start = threadSeconds()
        let (documents, report) = try PassageReader().read(file)
        let seconds = threadSeconds() - start
        #expect(documents.count == 17_523 && report.badRows == 0)
        #expect(seconds < 2, "13 MB in \(seconds) s")
        let (base, _) = try KnowledgeBase.build(
            from: [file],
            splitter: PassageSplitter(wordsPerPassage: nil), at: folder.file("kb"))
        #expect(base.count == 17_523)
        for (row, document) in documents.enumerated() where row % 97 == 0 {
            #expect(try base[PassageID(row)].text == document.text)
        }
    }
}
