import Foundation

extension KnowledgeBase {
    /// Opens a folder.
    ///
    /// The manifest, every small file, and the size and beginning of every large one are compared
    /// with their checksums; ``verify()`` compares the rest.
    ///
    /// - Throws: ``KnowledgeBaseError``, ``FileError``.
    public convenience init(opening directory: URL) throws {
        while true {
            let current = try CurrentPointer(in: directory)?.name
            do {
                let (parts, state) = try KnowledgeBase.read(directory)
                self.init(directory: directory, storage: .segments(parts), state: state)
                return
            } catch {
                // A writer may have replaced the files between the first look and the last.
                if try CurrentPointer(in: directory)?.name == current { throw error }
            }
        }
    }

    private static func read(_ directory: URL) throws -> ([Part], State) {
        let manifest = try KnowledgeBaseManifest(of: directory)
        var parts: [Part] = []
        var start = 0
        for listed in manifest.segments {
            let folder = KnowledgeBaseManifest.directory(ofSegment: listed.name, in: directory)
            try listed.files.check(in: folder, isWhole: false)
            let segment = try KnowledgeBaseSegment(directory: folder, count: listed.passages)
            if segment.count > 0 { parts.append(Part(start: start, segment: segment)) }
            start += listed.passages
        }
        let tokens = try tokenColumns(of: manifest, in: directory)
        return (parts, State(manifest: manifest, tokens: tokens))
    }

    private static func tokenColumns(
        of manifest: KnowledgeBaseManifest, in directory: URL
    ) throws -> [String: TokenColumn] {
        var columns: [String: TokenColumn] = [:]
        for fingerprint in manifest.segments.first?.tokenFiles.keys.sorted() ?? [] {
            let storages = try manifest.segments.map { segment in
                guard let name = segment.tokenFiles[fingerprint] else {
                    throw KnowledgeBaseError.damaged(
                        file: directory.appendingPathComponent(manifest.fileName).path,
                        reason: "segment \(segment.name) has no token ids of '\(fingerprint)'")
                }
                let folder = KnowledgeBaseManifest.directory(
                    ofSegment: segment.name, in: directory)
                return try TokenStorage(
                    contentsOf: folder.appendingPathComponent(name), fingerprint: fingerprint,
                    count: segment.passages)
            }
            columns[fingerprint] = TokenColumn(fingerprint: fingerprint, storages: storages)
        }
        return columns
    }

    /// Reads everything and compares it with the checksums; does nothing for a base in memory.
    ///
    /// - Throws: ``KnowledgeBaseError/damaged(file:reason:)`` naming file and bytes.
    public func verify() throws {
        guard let directory, let manifest = state.withLock({ $0.manifest }) else { return }
        for segment in manifest.segments {
            let folder = KnowledgeBaseManifest.directory(ofSegment: segment.name, in: directory)
            try segment.files.check(in: folder, isWhole: true)
        }
        for row in 0..<count { _ = try passage(PassageID(row)) }
    }

    /// Reads text files, cuts them into passages and writes them to a folder.
    ///
    /// The passages need not fit into memory.
    ///
    /// - Parameters:
    ///   - files: What ``PassageReader`` reads; their documents follow each other.
    ///   - directory: A new folder, or one that holds a knowledge base, which is replaced.
    ///   - segmentByteCount: About how much text goes into one segment, and into memory.
    /// - Returns: The knowledge base, and what was read and left out.
    /// - Throws: ``KnowledgeBaseError``, ``FileError``; the folder is then as it was.
    public static func build(
        from files: [URL], reader: PassageReader = PassageReader(),
        splitter: PassageSplitter = PassageSplitter(), at directory: URL,
        segmentByteCount: Int = 256 << 20
    ) throws -> (knowledgeBase: KnowledgeBase, report: ImportReport) {
        var report = ImportReport()
        var pieces = ImportReport()
        try KnowledgeBaseWriter.write(to: directory, segmentByteCount) { writer in
            for file in files {
                try reader.forEachDocument(in: file, report: &report) { document in
                    try splitter.split(document, &pieces) { title, text, provenance in
                        try writer.append(title: title, text: text, provenance: provenance)
                    }
                }
            }
            report.passages = pieces.passages
            report.emptyTexts += pieces.emptyTexts
            guard report.passages > 0 else {
                throw KnowledgeBaseError.noPassages(
                    source: files.map(\.path).joined(separator: "', '"),
                    reason: files.isEmpty ? "no files were given" : report.description)
            }
        }
        return (try KnowledgeBase(opening: directory), report)
    }

    /// Writes all passages and token ids to a folder.
    ///
    /// - Parameter directory: A new folder, or one that holds a knowledge base, which is replaced;
    ///   it may be the one that this base was opened from. Whoever has it open keeps what they have.
    /// - Throws: ``KnowledgeBaseError``, ``FileError``; the folder is then as it was.
    public func save(to directory: URL) throws {
        try save(to: directory, segmentByteCount: 256 << 20)
    }

    func save(to directory: URL, segmentByteCount: Int) throws {
        let columns = state.withLock { state in
            state.tokens.keys.sorted().compactMap { state.tokens[$0] }
        }
        try KnowledgeBaseWriter.write(to: directory, segmentByteCount, tokens: columns) { writer in
            for row in 0..<count {
                let passage = try passage(PassageID(row))
                try writer.append(
                    title: passage.title, text: passage.text, provenance: passage.provenance)
            }
        }
    }

    /// Writes token ids into the segments and makes them part of the manifest.
    func writeTokenIDs(
        fingerprint: String, in directory: URL, _ storage: (Range<Int>) throws -> TokenStorage
    ) throws -> TokenColumn {
        let lock = try WriterLock(directory)
        defer { withExtendedLifetime(lock) {} }
        var manifest = try KnowledgeBaseManifest(of: directory)
        guard manifest.number == state.withLock({ $0.manifest?.number }) else {
            throw KnowledgeBaseError.busy(directory: directory.path)
        }
        let old = manifest
        manifest.number += 1
        var start = 0
        do {
            for place in manifest.segments.indices {
                let rows = start..<start + manifest.segments[place].passages
                try manifest.segments[place].write(
                    storage(rows), of: fingerprint, manifest.number, directory)
                start = rows.upperBound
            }
            try manifest.publish(in: directory)
        } catch {
            manifest.withdraw(from: directory, keeping: old)
            throw error
        }
        let columns = try KnowledgeBase.tokenColumns(of: manifest, in: directory)
        // A base without segments has no columns.
        let column =
            columns[fingerprint] ?? TokenColumn(fingerprint: fingerprint, storages: [])
        state.withLock { state in
            state.manifest = manifest
            state.tokens[fingerprint] = columns[fingerprint]
        }
        try old.removeFiles(notIn: manifest, directory)
        return column
    }
}

extension KnowledgeBaseManifest.Segment {
    /// Writes token ids under a name that no manifest before has used.
    mutating func write(
        _ tokens: TokenStorage, of fingerprint: String, _ number: Int, _ directory: URL
    ) throws {
        let folder = KnowledgeBaseManifest.directory(ofSegment: name, in: directory)
        var fileName: String
        var attempt = 0
        repeat {
            fileName = "token-ids-\(KnowledgeBaseManifest.padded(number, 6))-\(attempt).safetensors"
            attempt += 1
        } while FileCalls.exists(folder.appendingPathComponent(fileName).path)
        let url = folder.appendingPathComponent(fileName)
        try tokens.write(to: url, fingerprint: fingerprint)
        if let old = tokenFiles[fingerprint] { files[old] = nil }
        files[fileName] = try FileDigest(contentsOf: url)
        tokenFiles[fingerprint] = fileName
    }
}

extension KnowledgeBaseManifest {
    /// Removes what was written for a manifest that did not become live.
    func withdraw(from directory: URL, keeping old: KnowledgeBaseManifest?) {
        // Its files must stay if it did, for instance when only the last synchronisation failed.
        guard let live = try? CurrentPointer(in: directory)?.name, live == fileName else {
            try? removeFiles(notIn: old ?? KnowledgeBaseManifest(number: 0), directory)
            return
        }
    }

    /// Removes what this manifest lists and a newer one does not, and this manifest itself.
    ///
    /// Files that nobody listed are left alone. Who has a file mapped keeps its contents.
    func removeFiles(notIn newer: KnowledgeBaseManifest, _ directory: URL) throws {
        let kept = Dictionary(newer.segments.map { ($0.name, $0.files) }) { first, _ in first }
        for segment in segments {
            let folder = KnowledgeBaseManifest.directory(ofSegment: segment.name, in: directory)
            for name in segment.files.names where kept[segment.name]?[name] == nil {
                try FileCalls.remove(folder.appendingPathComponent(name).path)
            }
            if kept[segment.name] == nil { rmdir(folder.path) }  // stays if there is more in it
        }
        try FileCalls.remove(directory.appendingPathComponent(fileName).path)
    }
}
