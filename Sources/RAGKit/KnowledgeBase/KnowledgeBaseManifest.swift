import Foundation

/// The contents of a knowledge base: its segments, and the files they consist of.
struct KnowledgeBaseManifest: Sendable {
    struct Segment: Sendable {
        var name: String
        var passages: Int
        /// The path of the file of token ids of each tokenizer, by its fingerprint.
        var tokenFiles: [String: String] = [:]

        /// The segment's folder, relative to the knowledge base.
        var path: String { "segments/\(name)" }
        /// The file of passages, relative to the knowledge base.
        var passageFile: String { "\(path)/\(KnowledgeBaseSegment.fileName)" }
    }

    var number: Int
    var segments: [Segment] = []
    var files = FileList()

    var name: String { VersionedDirectory.name(number) }

    /// The manifest in the form in which it is stored.
    var stored: VersionManifest {
        let list = segments.map { segment -> JSONValue in
            var tokens = JSONObject()
            for fingerprint in segment.tokenFiles.keys.sorted() {
                tokens[fingerprint] = segment.tokenFiles[fingerprint].map { .string($0) }
            }
            return [
                "name": .string(segment.name), "passages": .int(segment.passages),
                "token_ids": .object(tokens),
            ]
        }
        let content: JSONObject = [
            "number": .int(number),
            "passages": .int(segments.reduce(0) { $0 + $1.passages }),
            "segments": .array(list),
        ]
        return VersionManifest(name: name, content: content, files: files)
    }

    init(number: Int) { self.number = number }

    /// - Throws: ``ManifestFault``.
    init(_ stored: VersionManifest) throws {
        number = try stored.content.count("number")
        files = stored.files
        guard stored.name == name else { throw ManifestFault("'number'") }
        for json in stored.content["segments"]?.arrayValue ?? [] {
            segments.append(try KnowledgeBaseManifest.segment(json, stored.files))
        }
        // A writer removes the files of an old manifest, so they lie nowhere but in its segments.
        let folders = Set(segments.map(\.path))
        for path in files.paths {
            let parts = path.split(separator: "/")
            guard parts.count == 3, folders.contains(parts.dropLast().joined(separator: "/")) else {
                throw ManifestFault("the path '\(path)'")
            }
        }
    }

    private static func segment(_ json: JSONValue, _ files: FileList) throws -> Segment {
        guard let object = json.objectValue else { throw ManifestFault("'segments'") }
        var segment = Segment(
            name: try object.text("name"), passages: try object.count("passages"))
        guard FileList.isPlain(segment.name), files[segment.passageFile] != nil
        else { throw ManifestFault("segment '\(segment.name)'") }
        // A passage takes 32 bytes of offsets and numbers at least, so this cannot overflow.
        guard segment.passages < .max / 64 else { throw ManifestFault("'passages'") }
        for (fingerprint, file) in object["token_ids"]?.objectValue ?? JSONObject() {
            guard let path = file.stringValue, files[path] != nil else {
                throw ManifestFault("the token ids of '\(fingerprint)'")
            }
            segment.tokenFiles[fingerprint] = path
        }
        return segment
    }
}

extension KnowledgeBase {
    static let kind = VersionKind(
        format: "ragkit-knowledge-base", formatVersion: 2, noun: "a knowledge base",
        remedy:
            "restore it from a copy, or build the knowledge base again from its texts, in a new folder"
    )

    /// The versions in the folder of a knowledge base.
    static func versions(in directory: URL) -> VersionedDirectory {
        VersionedDirectory(directory: directory, kind: kind, layout: .sharedFiles)
    }

    /// Reads the live manifest of a folder.
    ///
    /// - Parameter isChecked: If true, the files are compared with their checksums.
    /// - Throws: ``VersionError``, ``FileError``.
    static func liveManifest(
        in directory: URL, isChecked: Bool = false
    ) throws -> KnowledgeBaseManifest {
        let versions = versions(in: directory)
        guard let name = try versions.current() else {
            throw VersionError.foreign(
                path: directory.path, expected: kind.noun,
                reason: "it has no file CURRENT; build one first")
        }
        guard !name.hasPrefix("manifest-") else {
            throw VersionError.otherFormat(
                file: CurrentPointer.url(in: directory).path, found: "1",
                expected: kind.formatVersion, remedy: kind.remedy)
        }
        do {
            return try KnowledgeBaseManifest(
                isChecked ? versions.open(name) : versions.manifest(of: name))
        } catch let fault as ManifestFault {
            throw kind.damaged(versions.manifestURL(of: name), fault.reason)
        }
    }
}
