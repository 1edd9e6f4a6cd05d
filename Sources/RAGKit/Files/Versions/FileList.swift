/// The files of a version with their digests, by paths relative to one folder.
struct FileList: Equatable, Sendable {
    private var digests: [String: FileDigest] = [:]

    init() {}

    /// The paths in a fixed order.
    var paths: [String] { digests.keys.sorted() }

    subscript(path: String) -> FileDigest? {
        get { digests[path] }
        set { digests[path] = newValue }
    }

    var json: JSONValue {
        var object = JSONObject()
        for path in paths {
            guard let digest = digests[path] else { continue }
            object[path] = [
                "bytes": .int(digest.byteCount),
                "crc32c": .array(digest.blocks.map { .int(Int($0)) }),
            ]
        }
        return .object(object)
    }

    /// - Throws: ``ManifestFault``.
    init(_ json: JSONValue?) throws {
        guard let object = json?.objectValue else { throw ManifestFault("no list of files") }
        for (path, value) in object {
            guard FileList.isSafe(path: path) else { throw ManifestFault("the path '\(path)'") }
            guard let byteCount = value["bytes"]?.intValue, byteCount >= 0,
                let blocks = value["crc32c"]?.arrayValue?.map({ block in
                    block.intValue.flatMap { UInt32(exactly: $0) }
                }),
                blocks.count == FileDigest.blockCount(byteCount), !blocks.contains(nil)
            else { throw ManifestFault("the checksums of '\(path)'") }
            digests[path] = FileDigest(byteCount: byteCount, blocks: blocks.compactMap(\.self))
        }
    }

    /// True if a path of plain names stays inside its folder.
    static func isSafe(path: String) -> Bool {
        path.split(separator: "/", omittingEmptySubsequences: false).allSatisfy { isPlain($0) }
    }

    /// True if a name is neither hidden nor a path, and is written alike on every file system.
    static func isPlain(_ name: some StringProtocol) -> Bool {
        !name.isEmpty && name.utf8.count < 200 && name.utf8.first != UInt8(ascii: ".")
            && name.utf8.allSatisfy { byte in
                (0x30...0x39) ~= byte || (0x41...0x5A) ~= byte || (0x61...0x7A) ~= byte
                    || byte == 0x2D || byte == 0x2E || byte == 0x5F  // - . _
            }
    }
}
