import Foundation

extension FileDigest {
    /// The digest of a file on the disk.
    init(contentsOf url: URL) throws {
        let file = try MappedFile(contentsOf: url)
        self = withExtendedLifetime(file) { FileDigest(of: file.bytes) }
    }

    /// Compares a file with what was written.
    ///
    /// - Parameter isWhole: Whether to read all of it; if not, its size and first block are
    ///   compared, which for small files is everything and for others holds the header.
    /// - Throws: ``KnowledgeBaseError/damaged(file:reason:)``.
    func check(_ url: URL, isWhole: Bool) throws {
        let problem: String?
        do {
            let file = try MappedFile(contentsOf: url)
            problem = withExtendedLifetime(file) {
                self.problem(in: file.bytes, limit: isWhole ? nil : 1)
            }
        } catch let error as FileError where error.isMissing {
            problem = "it is not there"
        }
        if let problem { throw KnowledgeBaseError.damaged(file: url.path, reason: problem) }
    }
}

/// A list of files with their digests, as part of a manifest.
struct FileList: Equatable, Sendable {
    private(set) var digests: [String: FileDigest] = [:]

    /// The names in a fixed order.
    var names: [String] { digests.keys.sorted() }

    subscript(name: String) -> FileDigest? {
        get { digests[name] }
        set { digests[name] = newValue }
    }

    /// Compares every file with what was written.
    func check(in directory: URL, isWhole: Bool) throws {
        for name in names {
            try digests[name]?.check(directory.appendingPathComponent(name), isWhole: isWhole)
        }
    }

    var json: JSONValue {
        var object = JSONObject()
        for name in names {
            guard let digest = digests[name] else { continue }
            object[name] = [
                "bytes": .int(digest.byteCount),
                "crc32c": .array(digest.blocks.map { .int(Int($0)) }),
            ]
        }
        return .object(object)
    }

    init() {}

    /// - Throws: ``ManifestFault``.
    init(_ json: JSONValue?) throws {
        guard let object = json?.objectValue else { throw ManifestFault("no list of files") }
        for (name, value) in object {
            guard FileList.isPlain(name) else { throw ManifestFault("the file name '\(name)'") }
            guard let byteCount = value["bytes"]?.intValue, byteCount >= 0,
                let blocks = value["crc32c"]?.arrayValue?.map({ $0.intValue.flatMap(UInt32.init) }),
                blocks.count == FileDigest.blockCount(byteCount), !blocks.contains(nil)
            else { throw ManifestFault("the checksums of '\(name)'") }
            digests[name] = FileDigest(byteCount: byteCount, blocks: blocks.compactMap(\.self))
        }
    }

    /// Whether a name stays inside its folder.
    static func isPlain(_ name: String) -> Bool {
        !name.isEmpty && name.utf8.count < 200 && name.first != "."
            && name.utf8.allSatisfy { byte in
                (0x30...0x39) ~= byte || (0x41...0x5A) ~= byte || (0x61...0x7A) ~= byte
                    || byte == 0x2D || byte == 0x2E || byte == 0x5F  // - . _
            }
    }
}

/// Something in a manifest that cannot be.
struct ManifestFault: Error {
    var reason: String
    init(_ what: String) { reason = "there is something wrong with \(what)" }
}

extension UInt32 {
    fileprivate init?(_ value: Int) { self.init(exactly: value) }
}

extension JSONValue {
    /// A whole number of a manifest that counts something.
    func count(_ key: String) throws -> Int {
        guard let value = self[key]?.intValue, value >= 0 else { throw ManifestFault("'\(key)'") }
        return value
    }

    /// A text of a manifest.
    func text(_ key: String) throws -> String {
        guard let value = self[key]?.stringValue else { throw ManifestFault("'\(key)'") }
        return value
    }
}

/// The file `CURRENT`: the name of the live version and the checksum of its manifest.
struct CurrentPointer {
    var name: String
    var checksum: UInt32

    static func url(in directory: URL) -> URL { directory.appendingPathComponent("CURRENT") }

    /// - Returns: Nil if there is no such file.
    /// - Throws: ``KnowledgeBaseError/damaged(file:reason:)``.
    init?(in directory: URL) throws {
        let url = CurrentPointer.url(in: directory)
        let text: String
        do {
            let file = try MappedFile(contentsOf: url)
            text = withExtendedLifetime(file) {
                String(decoding: file.bytes.prefix(256), as: UTF8.self)
            }
        } catch let error as FileError where error.isMissing {
            return nil
        }
        let words = text.split(separator: " ", omittingEmptySubsequences: false)
        guard words.count == 2, let checksum = UInt32(words[1].dropLast(), radix: 16),
            FileList.isPlain(String(words[0]))
        else {
            throw KnowledgeBaseError.damaged(file: url.path, reason: "it names no version")
        }
        (name, self.checksum) = (String(words[0]), checksum)
        guard text == self.text else {
            throw KnowledgeBaseError.damaged(file: url.path, reason: "it names no version")
        }
    }

    init(name: String, manifest: [UInt8]) {
        self.name = name
        checksum = manifest.withUnsafeBytes { CRC32C.checksum(of: $0) }
    }

    private var text: String { "\(name) \(String(checksum, radix: 16))\n" }

    func write(in directory: URL) throws {
        try AtomicFile.write(text, to: CurrentPointer.url(in: directory))
    }

    /// Reads the manifest that this names, or another file that has its checksum.
    func manifest(at url: URL) throws -> JSONValue {
        let file: MappedFile
        do {
            file = try MappedFile(contentsOf: url)
        } catch let error as FileError where error.isMissing {
            throw KnowledgeBaseError.damaged(file: url.path, reason: "it is not there")
        }
        return try withExtendedLifetime(file) {
            guard CRC32C.checksum(of: file.bytes) == checksum else {
                throw KnowledgeBaseError.damaged(
                    file: url.path, reason: "its bytes are not those that CURRENT stands for")
            }
            return try JSONValue(parsing: file.bytes, file: url.path, dialect: .strict)
        }
    }
}
