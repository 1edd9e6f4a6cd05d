import Foundation

/// Writes the passages of a knowledge base into a folder, segment by segment.
///
/// Until the last step, which names the new manifest in `CURRENT`, the folder is for readers what it
/// was before.
final class KnowledgeBaseWriter {
    private let directory: URL
    private let segmentByteCount: Int
    private let tokens: [TokenColumn]
    private var manifest: KnowledgeBaseManifest
    private var builder = SegmentBuilder()
    private var nextSegment: Int
    private var written = 0

    /// - Parameters:
    ///   - directory: New, empty, or holding a knowledge base.
    ///   - tokens: Token ids to write beside the passages.
    ///   - body: Appends the passages.
    static func write(
        to directory: URL, _ segmentByteCount: Int, tokens: [TokenColumn] = [],
        _ body: (KnowledgeBaseWriter) throws -> Void
    ) throws {
        let path = directory.path
        guard FileCalls.exists(path), try !DirectoryListing.names(in: path).isEmpty else {
            // A new folder appears complete or not at all.
            if FileCalls.exists(path), rmdir(path) != 0 { throw FileCalls.failure("replace", path) }
            try FileCalls.makeDirectories(directory.deletingLastPathComponent())
            try AtomicDirectory.write(to: directory) { folder in
                try FileCalls.makeDirectory(folder.path + "/segments")
                try KnowledgeBaseWriter(folder, segmentByteCount, tokens, old: nil).run(body)
            }
            return
        }
        let lock = try WriterLock(directory)
        defer { withExtendedLifetime(lock) {} }
        let old: KnowledgeBaseManifest
        do {
            old = try KnowledgeBaseManifest(of: directory)
        } catch KnowledgeBaseError.notAKnowledgeBase(_, _) {
            throw KnowledgeBaseError.notAKnowledgeBase(
                directory: path, reason: "it holds other files; choose a new or empty folder")
        }
        let writer = try KnowledgeBaseWriter(directory, segmentByteCount, tokens, old: old)
        try writer.run(body)
        try old.removeFiles(notIn: writer.manifest, directory)
    }

    private init(
        _ directory: URL, _ segmentByteCount: Int, _ tokens: [TokenColumn],
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
        do {
            try body(self)
            try finishSegment()
            try manifest.publish(in: directory)
        } catch {
            manifest.withdraw(from: directory, keeping: nil)
            throw error
        }
    }

    func append(title: String, text: String, provenance: Provenance) throws {
        builder.append(title: title, text: text, provenance: provenance)
        if builder.byteCount >= segmentByteCount { try finishSegment() }
    }

    private func finishSegment() throws {
        guard builder.count > 0 else { return }
        let name = KnowledgeBaseManifest.segmentName(nextSegment)
        let folder = KnowledgeBaseManifest.directory(ofSegment: name, in: directory)
        try AtomicDirectory.write(to: folder) { try builder.write(to: $0) }
        var segment = KnowledgeBaseManifest.Segment(
            name: name, passages: builder.count, files: FileList())
        let file = KnowledgeBaseSegment.fileName
        segment.files[file] = try FileDigest(contentsOf: folder.appendingPathComponent(file))
        for column in tokens {
            let storage = column.storage(of: written..<written + builder.count)
            try segment.write(storage, of: column.fingerprint, manifest.number, directory)
        }
        manifest.segments.append(segment)
        written += builder.count
        nextSegment += 1
        builder = SegmentBuilder()
    }
}

extension TokenColumn {
    /// A copy of the ids of some passages.
    func storage(of rows: Range<Int>) -> TokenStorage {
        var offsets: [Int64] = [0]
        var ids: [Int32] = []
        for row in rows {
            withIDs(of: PassageID(row)) { ids.append(contentsOf: $0) }
            offsets.append(Int64(ids.count))
        }
        return TokenStorage(offsets: offsets, ids: ids)
    }
}
