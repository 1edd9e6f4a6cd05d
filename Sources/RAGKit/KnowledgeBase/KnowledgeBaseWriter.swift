import Foundation

/// Writes the passages of a knowledge base into a folder, segment by segment.
///
/// Until the last step, which names the new manifest in `CURRENT`, the folder is for readers what it
/// was before.
final class KnowledgeBaseWriter {
    private let directory: URL
    private let segmentByteCount: Int
    private let tokens: [TokenSequences]
    private var manifest: KnowledgeBaseManifest
    private var builder = SegmentBuilder()
    private var nextSegment: Int
    private var written = 0

    /// - Parameters:
    ///   - directory: New, empty, or holding a knowledge base.
    ///   - tokens: Token ids to write beside the passages.
    ///   - body: Appends the passages.
    static func write(
        to directory: URL, _ segmentByteCount: Int, tokens: [TokenSequences] = [],
        _ body: (KnowledgeBaseWriter) throws -> Void
    ) throws {
        let path = directory.path
        guard FileCalls.exists(path), try !DirectoryListing.names(in: path).isEmpty else {
            // A new folder appears complete or not at all.
            if FileCalls.exists(path) { try FileCalls.removeEmptyFolder(path) }
            try FileCalls.makeDirectories(directory.deletingLastPathComponent())
            try AtomicDirectory.write(to: directory) { folder in
                try FileCalls.makeDirectory(folder.path + "/segments")
                try KnowledgeBaseWriter(folder, segmentByteCount, tokens, old: nil).run(body)
            }
            return
        }
        let versions = KnowledgeBase.versions(in: directory)
        let lock = try versions.lock()
        defer { withExtendedLifetime(lock) {} }
        let old: KnowledgeBaseManifest
        do {
            old = try KnowledgeBase.liveManifest(in: directory)
        } catch VersionError.foreign(_, let expected, _) {
            throw VersionError.foreign(
                path: path, expected: expected,
                reason: "it holds other files; choose a new or empty folder")
        }
        try versions.prepare()
        try AtomicFile.removeLeftovers(in: directory.appendingPathComponent("segments"))
        let writer = try KnowledgeBaseWriter(directory, segmentByteCount, tokens, old: old)
        try writer.run(body)
        try versions.remove(old.stored, keeping: writer.manifest.stored)
    }

    private init(
        _ directory: URL, _ segmentByteCount: Int, _ tokens: [TokenSequences],
        old: KnowledgeBaseManifest?
    ) throws {
        self.directory = directory
        self.segmentByteCount = max(segmentByteCount, 1)
        self.tokens = tokens
        manifest = KnowledgeBaseManifest(number: (old?.number ?? 0) + 1)
        // Also behind segments that an interrupted writer left.
        let names = try DirectoryListing.names(in: directory.path + "/segments")
        nextSegment = (names.compactMap { Int($0) }.max() ?? 0) + 1
    }

    private func run(_ body: (KnowledgeBaseWriter) throws -> Void) throws {
        let versions = KnowledgeBase.versions(in: directory)
        do {
            try body(self)
            try finishSegment()
            try versions.publish(manifest.stored)
        } catch {
            versions.withdraw(manifest.stored, keeping: nil)
            throw error
        }
    }

    func append(title: String, text: String, provenance: Provenance) throws {
        builder.append(title: title, text: text, provenance: provenance)
        if builder.byteCount >= segmentByteCount { try finishSegment() }
    }

    private func finishSegment() throws {
        guard builder.count > 0 else { return }
        let segment = KnowledgeBaseManifest.Segment(
            name: VersionedDirectory.name(nextSegment, width: 4), passages: builder.count)
        let folder = directory.appendingPathComponent(segment.path)
        try AtomicDirectory.write(to: folder) { try builder.write(to: $0) }
        manifest.files[segment.passageFile] = try FileDigest(
            contentsOf: directory.appendingPathComponent(segment.passageFile))
        manifest.segments.append(segment)
        for sequences in tokens {
            let storage = sequences.storage(of: written..<written + builder.count)
            try manifest.write(
                storage, of: sequences.fingerprint, segment: manifest.segments.count - 1,
                in: directory)
        }
        written += builder.count
        nextSegment += 1
        builder = SegmentBuilder()
    }
}

extension TokenSequences {
    /// A copy of the ids of some sequences.
    func storage(of rows: Range<Int>) -> TokenStorage {
        var offsets: [Int64] = [0]
        var ids: [Int32] = []
        for row in rows {
            withIDs(at: row) { ids.append(contentsOf: $0) }
            offsets.append(Int64(ids.count))
        }
        return TokenStorage(offsets: offsets, ids: ids)
    }
}
