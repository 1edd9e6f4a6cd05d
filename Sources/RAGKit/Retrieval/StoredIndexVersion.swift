import Foundation
import Synchronization

/// A version of an index that is open: its vectors, mapped into memory.
///
/// As long as this object lives, ``IndexVersionStore`` does not remove the version.
///
/// `@unchecked Sendable`: the vectors are never written, and `file` keeps them in place.
public final class StoredIndexVersion: @unchecked Sendable {
    public let version: Int
    public let manifest: IndexManifest
    /// The folder with the version's files, for those an index adds to the vectors.
    public let directory: URL
    /// The file that holds ``vectors``.
    public let file: MappedFile
    /// `count` rows of `dimension` numbers; the first lies at a multiple of 64 bytes. Valid as long
    /// as ``file`` lives.
    public let vectors: UnsafeBufferPointer<Float>
    private let files: FileList
    private let hold: VersionHold

    static let vectorFileName = "embeddings.safetensors"
    static let vectorTensorName = "embeddings"

    /// - Throws: ``IndexStoreError/damaged(file:reason:)``, ``FileError``.
    init(_ directory: URL, version: Int, hold: VersionHold) throws {
        let url = directory.appendingPathComponent(StoredIndexVersion.vectorFileName)
        func damaged(_ reason: String) -> IndexStoreError {
            .damaged(file: url.path, reason: reason)
        }
        let manifestURL = directory.appendingPathComponent(StoredIndexManifest.fileName)
        let stored = try StoredIndexManifest(contentsOf: manifestURL)
        guard stored.version == version else {
            throw IndexStoreError.damaged(
                file: manifestURL.path, reason: "it belongs to version \(stored.version)")
        }
        guard stored.files[StoredIndexVersion.vectorFileName] != nil else {
            throw IndexStoreError.damaged(file: manifestURL.path, reason: "it lists no vectors")
        }
        let entry: SafetensorsFile.Entry
        do {
            try stored.files.check(in: directory, isWhole: false)
            entry = try SafetensorsFile(contentsOf: url).entry(
                named: StoredIndexVersion.vectorTensorName, dtype: .float32)
        } catch let error as CheckpointError {
            throw damaged(error.description)
        } catch KnowledgeBaseError.damaged(let file, let reason) {
            throw IndexStoreError.damaged(file: file, reason: reason)
        }
        guard entry.shape == [stored.manifest.count, stored.manifest.dimension] else {
            throw damaged(
                "its shape is \(entry.shape), the manifest says "
                    + "[\(stored.manifest.count), \(stored.manifest.dimension)]")
        }
        guard Int(bitPattern: entry.bytes.baseAddress) % 64 == 0 else {
            throw damaged("its vectors do not begin at a multiple of 64 bytes")
        }
        self.version = version
        self.manifest = stored.manifest
        self.directory = directory
        self.hold = hold
        file = entry.file
        vectors = entry.bytes.bindMemory(to: Float.self)
        files = stored.files
    }

    /// Reads everything and compares it with the checksums.
    ///
    /// - Throws: ``IndexStoreError/damaged(file:reason:)`` naming file and bytes.
    public func verify() throws {
        do {
            try files.check(in: directory, isWhole: true)
        } catch KnowledgeBaseError.damaged(let file, let reason) {
            throw IndexStoreError.damaged(file: file, reason: reason)
        }
    }
}

/// Keeps a version of an index from being removed by this process, as long as it lives.
final class VersionHold: Sendable {
    private struct Key: Hashable {
        var directory: String
        var version: Int
    }

    /// How many hold each version; of the process, since several stores may name one folder.
    private static let holds = Mutex<[Key: Int]>([:])

    private let key: Key

    init(directory: URL, version: Int) {
        let key = Key(directory: VersionHold.canonical(directory), version: version)
        VersionHold.holds.withLock { $0[key, default: 0] += 1 }
        self.key = key
    }

    deinit {
        VersionHold.holds.withLock { holds in
            let left = holds[key, default: 1] - 1
            holds[key] = left > 0 ? left : nil
        }
    }

    /// Runs `body` if nobody holds the version; nobody can take hold of it meanwhile.
    static func ifFree(directory: URL, version: Int, _ body: () throws -> Void) rethrows -> Bool {
        let key = Key(directory: canonical(directory), version: version)
        return try holds.withLock { holds in
            guard holds[key] == nil else { return false }
            try body()
            return true
        }
    }

    private static func canonical(_ url: URL) -> String { url.resolvingSymlinksInPath().path }
}
