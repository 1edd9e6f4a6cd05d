import Foundation

/// What a knowledge base consists of: `manifest-000001.json`.
struct KnowledgeBaseManifest: Sendable {
    struct Segment: Sendable {
        var name: String
        var passages: Int
        var files: FileList
        /// The file of token ids of each tokenizer, by its fingerprint.
        var tokenFiles: [String: String] = [:]
    }

    static let format = "ragkit-knowledge-base"
    static let formatVersion = 1

    var number: Int
    var segments: [Segment] = []

    var fileName: String { KnowledgeBaseManifest.fileName(number) }

    static func fileName(_ number: Int) -> String { "manifest-\(padded(number, 6)).json" }

    static func segmentName(_ number: Int) -> String { padded(number, 4) }

    static func padded(_ number: Int, _ width: Int) -> String {
        let digits = String(number)
        return String(repeating: "0", count: max(0, width - digits.count)) + digits
    }

    static func directory(ofSegment name: String, in directory: URL) -> URL {
        directory.appendingPathComponent("segments").appendingPathComponent(name)
    }

    var bytes: [UInt8] {
        let list = segments.map { segment -> JSONValue in
            var tokens = JSONObject()
            for fingerprint in segment.tokenFiles.keys.sorted() {
                tokens[fingerprint] = segment.tokenFiles[fingerprint].map { .string($0) }
            }
            return [
                "name": .string(segment.name), "passages": .int(segment.passages),
                "files": segment.files.json, "token_ids": .object(tokens),
            ]
        }
        let json: JSONValue = [
            "format": .string(KnowledgeBaseManifest.format),
            "format_version": .int(KnowledgeBaseManifest.formatVersion),
            "number": .int(number),
            "passages": .int(segments.reduce(0) { $0 + $1.passages }),
            "segments": .array(list),
        ]
        return Array((json.text() + "\n").utf8)
    }

    init(number: Int) { self.number = number }

    /// Reads the live manifest of a folder.
    ///
    /// - Throws: ``KnowledgeBaseError``.
    init(of directory: URL) throws {
        guard let current = try CurrentPointer(in: directory) else {
            throw KnowledgeBaseError.notAKnowledgeBase(
                directory: directory.path, reason: "it has no file CURRENT; build one first")
        }
        let url = directory.appendingPathComponent(current.name)
        let json = try current.manifest(at: url)
        guard json["format"]?.stringValue == KnowledgeBaseManifest.format else {
            throw KnowledgeBaseError.notAKnowledgeBase(
                directory: directory.path, reason: "its manifest is of another kind")
        }
        guard json["format_version"]?.intValue == KnowledgeBaseManifest.formatVersion else {
            throw KnowledgeBaseError.notAKnowledgeBase(
                directory: directory.path, reason: "it was written by a newer version of RAGKit")
        }
        do {
            number = try json.count("number")
            guard current.name == fileName else { throw ManifestFault("'number'") }
            segments = try (json["segments"]?.arrayValue ?? []).map(KnowledgeBaseManifest.segment)
        } catch let fault as ManifestFault {
            throw KnowledgeBaseError.damaged(file: url.path, reason: fault.reason)
        }
    }

    private static func segment(_ json: JSONValue) throws -> Segment {
        var segment = Segment(
            name: try json.text("name"), passages: try json.count("passages"),
            files: try FileList(json["files"]))
        guard FileList.isPlain(segment.name), segment.files[KnowledgeBaseSegment.fileName] != nil
        else { throw ManifestFault("segment '\(segment.name)'") }
        // A passage takes 32 bytes of offsets and numbers at least, so this cannot overflow.
        guard segment.passages < .max / 64 else { throw ManifestFault("'passages'") }
        for (fingerprint, file) in json["token_ids"]?.objectValue ?? JSONObject() {
            guard let name = file.stringValue, segment.files[name] != nil else {
                throw ManifestFault("the token ids of '\(fingerprint)'")
            }
            segment.tokenFiles[fingerprint] = name
        }
        return segment
    }

    /// Makes this the live manifest of a folder.
    func publish(in directory: URL) throws {
        let bytes = bytes
        try AtomicFile.write(bytes, to: directory.appendingPathComponent(fileName))
        try CurrentPointer(name: fileName, manifest: bytes).write(in: directory)
    }
}

/// Keeps other writers, also in other processes, away from a folder as long as it lives.
final class WriterLock {
    private let descriptor: Int32

    /// - Throws: ``KnowledgeBaseError/busy(directory:)``, ``FileError``.
    init(_ directory: URL) throws {
        descriptor = open(directory.path, O_RDONLY | O_CLOEXEC)
        guard descriptor >= 0 else { throw FileCalls.failure("open", directory.path) }
        guard flock(descriptor, LOCK_EX | LOCK_NB) == 0 else {
            let code = errno
            close(descriptor)
            throw code == EWOULDBLOCK
                ? KnowledgeBaseError.busy(directory: directory.path)
                : FileError.system(operation: "lock", path: directory.path, code: code)
        }
    }

    deinit { close(descriptor) }
}
