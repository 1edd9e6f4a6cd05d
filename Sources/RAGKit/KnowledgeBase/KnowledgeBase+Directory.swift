public import Foundation
import Synchronization

extension KnowledgeBase {
    /// Opens a folder.
    ///
    /// The manifest, every small file, and the size and beginning of every large one are compared
    /// with their checksums; ``verify()`` compares the rest.
    ///
    /// - Throws: ``VersionError``, ``FileError``.
    public convenience init(contentsOf directory: URL) throws {
        let versions = KnowledgeBase.versions(in: directory)
        while true {
            let current = try versions.current()
            do {
                let (parts, state) = try KnowledgeBase.read(directory)
                self.init(directory: directory, storage: .segments(parts), state: state)
                return
            } catch {
                // A writer may have replaced the files between the first look and the last.
                if try versions.current() == current { throw error }
            }
        }
    }

    private static func read(_ directory: URL) throws -> ([Part], State) {
        let manifest = try liveManifest(in: directory, isChecked: true)
        var parts: [Part] = []
        var start = 0
        for listed in manifest.segments {
            let file = directory.appendingPathComponent(listed.passageFile)
            let segment = try KnowledgeBaseSegment(contentsOf: file, count: listed.passages)
            if segment.count > 0 { parts.append(Part(start: start, segment: segment)) }
            start += listed.passages
        }
        let tokens = try tokenSequences(of: manifest, in: directory)
        return (parts, State(manifest: manifest, tokens: tokens))
    }

    private static func tokenSequences(
        of manifest: KnowledgeBaseManifest, in directory: URL
    ) throws -> [String: TokenSequences] {
        var sequences: [String: TokenSequences] = [:]
        for fingerprint in manifest.segments.first?.tokenFiles.keys.sorted() ?? [] {
            let storages = try manifest.segments.map { segment in
                guard let path = segment.tokenFiles[fingerprint] else {
                    throw kind.damaged(
                        versions(in: directory).manifestURL(of: manifest.name),
                        "segment \(segment.name) has no token ids of '\(fingerprint)'")
                }
                return try TokenStorage(
                    contentsOf: directory.appendingPathComponent(path), fingerprint: fingerprint,
                    count: segment.passages)
            }
            sequences[fingerprint] = TokenSequences(fingerprint: fingerprint, storages: storages)
        }
        return sequences
    }

    /// Reads everything and compares it with the checksums; does nothing for a base in memory.
    ///
    /// - Throws: ``VersionError/damaged(file:reason:remedy:)`` naming file and bytes.
    public func verify() throws {
        guard let directory, let manifest = state.withLock({ $0.manifest }) else { return }
        // The manifest as it was opened: the one on disk may have been replaced since.
        try KnowledgeBase.versions(in: directory).compareFiles(of: manifest.stored, isWhole: true)
        for row in 0..<count { _ = try passage(PassageID(row)) }
    }

    /// Reads text files, cuts them into passages and writes them to a folder.
    ///
    /// The passages need not fit into memory.
    ///
    /// - Parameters:
    ///   - files: Files in a format that ``PassageReader`` reads; their documents follow each other.
    ///   - directory: A new folder, or one that holds a knowledge base, which is replaced.
    ///   - segmentByteCount: About how much text goes into one segment, and into memory.
    /// - Returns: The knowledge base, and the counts of what was read and left out.
    /// - Throws: ``KnowledgeBaseError``, ``VersionError``, ``FileError``; the folder is then as it
    ///   was.
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
        return (try KnowledgeBase(contentsOf: directory), report)
    }

    /// Writes all passages and token ids to a folder.
    ///
    /// - Parameter directory: A new folder, or one that holds a knowledge base, which is replaced;
    ///   it may be the one that this base was opened from. Whoever has it open keeps what they have.
    /// - Throws: ``KnowledgeBaseError``, ``VersionError``, ``FileError``; the folder is then as it
    ///   was.
    public func save(to directory: URL) throws {
        try save(to: directory, segmentByteCount: 256 << 20)
    }

    func save(to directory: URL, segmentByteCount: Int) throws {
        let tokens = state.withLock { state in
            state.tokens.keys.sorted().compactMap { state.tokens[$0] }
        }
        try KnowledgeBaseWriter.write(to: directory, segmentByteCount, tokens: tokens) { writer in
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
    ) throws -> TokenSequences {
        let versions = KnowledgeBase.versions(in: directory)
        let lock = try versions.lock()
        defer { withExtendedLifetime(lock) {} }
        var manifest = try KnowledgeBase.liveManifest(in: directory)
        guard manifest.number == state.withLock({ $0.manifest?.number }) else {
            throw VersionError.busy(directory: directory.path, process: nil)
        }
        let old = manifest
        manifest.number += 1
        var start = 0
        do {
            for place in manifest.segments.indices {
                let rows = start..<start + manifest.segments[place].passages
                try manifest.write(storage(rows), of: fingerprint, segment: place, in: directory)
                start = rows.upperBound
            }
            try versions.publish(manifest.stored)
        } catch {
            versions.withdraw(manifest.stored, keeping: old.stored)
            throw error
        }
        let sequences = try KnowledgeBase.tokenSequences(of: manifest, in: directory)
        // A base without segments has no sequences.
        let added =
            sequences[fingerprint] ?? TokenSequences(fingerprint: fingerprint, storages: [])
        state.withLock { state in
            state.manifest = manifest
            state.tokens[fingerprint] = sequences[fingerprint]
        }
        try versions.remove(old.stored, keeping: manifest.stored)
        return added
    }
}

extension KnowledgeBaseManifest {
    /// Writes token ids of a segment under a name that no manifest before has used.
    mutating func write(
        _ tokens: TokenStorage, of fingerprint: String, segment place: Int, in directory: URL
    ) throws {
        var path: String
        var attempt = 0
        repeat {
            path = "\(segments[place].path)/token-ids-\(name)-\(attempt).safetensors"
            attempt += 1
        } while FileCalls.exists(directory.appendingPathComponent(path).path)
        let url = directory.appendingPathComponent(path)
        try tokens.write(to: url, fingerprint: fingerprint)
        if let old = segments[place].tokenFiles[fingerprint] { files[old] = nil }
        files[path] = try FileDigest(contentsOf: url)
        segments[place].tokenFiles[fingerprint] = path
    }
}

extension VersionedDirectory {
    /// Removes the files that were written for a manifest that did not become live.
    func withdraw(_ manifest: VersionManifest, keeping old: VersionManifest?) {
        // Its files must stay if it did, for instance when only the last synchronisation failed.
        if let live = try? current(), live == manifest.name { return }
        try? remove(manifest, keeping: old)
    }
}
