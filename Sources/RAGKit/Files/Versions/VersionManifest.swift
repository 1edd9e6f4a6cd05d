import Foundation

/// The contents of one version: its files with checksums, and what its kind says about it.
struct VersionManifest: Equatable, Sendable {
    /// The version's name.
    var name: String
    /// The keys of the version's kind.
    var content: JSONObject
    var files: FileList

    private static let ownKeys = ["format", "format_version", "name", "files", "crc32c"]

    /// The manifest as JSON text, with a checksum of its own.
    func bytes(_ kind: VersionKind) -> [UInt8] {
        var json: JSONValue = [
            "format": .string(kind.format), "format_version": .int(kind.formatVersion),
            "name": .string(name),
        ]
        for (key, value) in content { json[key] = value }
        json["files"] = files.json
        // CURRENT knows the checksum of one version's manifest; the others need one too.
        json["crc32c"] = .int(VersionManifest.checksum(json))
        return Array((json.text() + "\n").utf8)
    }

    /// The checksum of a manifest without its key `crc32c`.
    private static func checksum(_ json: JSONValue) -> Int {
        var bare = json
        bare["crc32c"] = nil
        return Array(bare.text().utf8).withUnsafeBytes { Int(CRC32C.checksum(of: $0)) }
    }

    init(name: String, content: JSONObject, files: FileList) {
        (self.name, self.content, self.files) = (name, content, files)
    }

    /// Reads a manifest.
    ///
    /// - Parameter checksum: The CRC-32C of all its bytes, where `CURRENT` says it.
    /// - Throws: ``VersionError``, ``FileError``.
    init(contentsOf url: URL, name: String, _ kind: VersionKind, checksum: UInt32?) throws {
        let file: MappedFile
        do {
            file = try MappedFile(contentsOf: url)
        } catch let error as FileError where error.isMissing {
            throw kind.damaged(url, "it is not there")
        }
        self = try withExtendedLifetime(file) {
            if let checksum, CRC32C.checksum(of: file.bytes) != checksum {
                throw kind.damaged(url, "its bytes are not those that CURRENT stands for")
            }
            do {
                let json = try JSONValue(parsing: file.bytes, file: url.path, dialect: .strict)
                return try VersionManifest(json, url, name: name, kind)
            } catch let error as JSONError {
                throw kind.damaged(url, error.description)
            } catch let fault as ManifestFault {
                throw kind.damaged(url, fault.reason)
            }
        }
    }

    private init(_ json: JSONValue, _ url: URL, name: String, _ kind: VersionKind) throws {
        guard let format = json["format"]?.stringValue, format == kind.format else {
            throw VersionError.foreign(
                path: url.path, expected: kind.noun,
                reason: "its manifest is of another kind")
        }
        // An older or newer version may compute its checksum in another way.
        guard let version = json["format_version"]?.intValue, version == kind.formatVersion else {
            throw VersionError.otherFormat(
                file: url.path, found: json["format_version"]?.summary ?? "none",
                expected: kind.formatVersion, remedy: kind.remedy)
        }
        guard json["crc32c"]?.intValue == VersionManifest.checksum(json) else {
            throw ManifestFault("its bytes: they are not those that were written (CRC-32C differs)")
        }
        guard json["name"]?.stringValue == name else {
            throw ManifestFault("its name: it belongs to version \(json["name"]?.summary ?? "?")")
        }
        var content = json.objectValue ?? JSONObject()
        for key in VersionManifest.ownKeys { content[key] = nil }
        self.init(name: name, content: content, files: try FileList(json["files"]))
    }
}

/// Something in a manifest that cannot be.
struct ManifestFault: Error {
    var reason: String
    init(_ what: String) { reason = "there is something wrong with \(what)" }
}

extension JSONObject {
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
