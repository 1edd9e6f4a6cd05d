import Foundation

/// What a version of an index was made from.
public struct IndexManifest: Sendable, Hashable {
    /// Names the weights of the encoder that made the vectors.
    public var encoderFingerprint: String
    /// Names the tokenizer and its settings.
    public var tokenizerFingerprint: String
    /// The optimizer step of the encoder.
    public var step: Int
    /// The number of vectors, one per passage.
    public var count: Int
    /// The numbers in each vector.
    public var dimension: Int
    /// When it was made, in whole seconds. For people: nothing is decided by it.
    public var created: Date

    public init(
        encoderFingerprint: String, tokenizerFingerprint: String, step: Int, count: Int,
        dimension: Int, created: Date = Date()
    ) {
        self.encoderFingerprint = encoderFingerprint
        self.tokenizerFingerprint = tokenizerFingerprint
        self.step = step
        self.count = count
        self.dimension = dimension
        self.created = Date(timeIntervalSince1970: created.timeIntervalSince1970.rounded(.down))
    }
}

/// A manifest with the files of its version: `manifest.json`.
struct StoredIndexManifest {
    static let fileName = "manifest.json"
    private static let format = "ragkit-index"
    private static let formatVersion = 1

    var version: Int
    var manifest: IndexManifest
    var files: FileList

    init(version: Int, manifest: IndexManifest, files: FileList) {
        (self.version, self.manifest, self.files) = (version, manifest, files)
    }

    var bytes: [UInt8] {
        var json: JSONValue = [
            "format": .string(StoredIndexManifest.format),
            "format_version": .int(StoredIndexManifest.formatVersion),
            "version": .int(version),
            "encoder_fingerprint": .string(manifest.encoderFingerprint),
            "tokenizer_fingerprint": .string(manifest.tokenizerFingerprint),
            "step": .int(manifest.step),
            "count": .int(manifest.count),
            "dimension": .int(manifest.dimension),
            "created": .string(manifest.created.formatted(.iso8601)),
            "files": files.json,
        ]
        // CURRENT knows the checksum of one version's manifest; the others need one too.
        json["crc32c"] = .int(StoredIndexManifest.checksum(json))
        return Array((json.text() + "\n").utf8)
    }

    /// The checksum of a manifest without its key `crc32c`.
    private static func checksum(_ json: JSONValue) -> Int {
        var bare = json
        bare["crc32c"] = nil
        return Array(bare.text().utf8).withUnsafeBytes { Int(CRC32C.checksum(of: $0)) }
    }

    /// - Throws: ``IndexStoreError/damaged(file:reason:)``, ``FileError``.
    init(contentsOf url: URL) throws {
        func damaged(_ reason: String) -> IndexStoreError {
            .damaged(file: url.path, reason: reason)
        }
        let json: JSONValue
        do {
            json = try JSONValue(contentsOf: url, dialect: .strict)
        } catch let error as JSONError {
            throw damaged(error.description)
        } catch CheckpointError.missingFile(_, _) {
            throw damaged("it is not there")
        }
        guard json["crc32c"]?.intValue == StoredIndexManifest.checksum(json) else {
            throw damaged("it is not what was written (CRC-32C differs)")
        }
        guard json["format"]?.stringValue == StoredIndexManifest.format,
            json["format_version"]?.intValue == StoredIndexManifest.formatVersion
        else { throw damaged("it was written by another program or a newer version of RAGKit") }
        do {
            guard let created = try? Date(json.text("created"), strategy: .iso8601) else {
                throw ManifestFault("'created'")
            }
            version = try json.count("version")
            manifest = IndexManifest(
                encoderFingerprint: try json.text("encoder_fingerprint"),
                tokenizerFingerprint: try json.text("tokenizer_fingerprint"),
                step: try json.count("step"), count: try json.count("count"),
                dimension: try json.count("dimension"), created: created)
            files = try FileList(json["files"])
        } catch let fault as ManifestFault {
            throw damaged(fault.reason)
        }
    }
}

/// Versions of an index that cannot be read or written.
public enum IndexStoreError: Error, Equatable, CustomStringConvertible {
    /// A file of a version is not what was written.
    case damaged(file: String, reason: String)
    case noSuchVersion(version: Int, directory: String, available: [Int])
    /// The vectors to be published do not fit their manifest, or are no numbers.
    case invalidVectors(reason: String)

    public var description: String {
        switch self {
        case .damaged(let file, let reason):
            "'\(file)' is damaged: \(reason); use another version or encode the passages again"
        case .noSuchVersion(let version, let directory, let available):
            "'\(directory)' has no version \(version) of the index; there are "
                + (available.isEmpty ? "none" : available.map(String.init).joined(separator: ", "))
        case .invalidVectors(let reason):
            "the vectors cannot be published: \(reason)"
        }
    }
}
