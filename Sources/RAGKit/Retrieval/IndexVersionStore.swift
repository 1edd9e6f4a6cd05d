import Foundation
import Synchronization

/// The versions of a run's index: `versions/000007/` with vectors and manifest, and `CURRENT`.
///
/// A version is there complete or not at all, and is never changed. Publishing makes a new one and
/// then names it in `CURRENT`; readers keep the one they opened. One run writes, any number read.
public final class IndexVersionStore: Sendable {
    /// The folder, for instance `run/index`.
    public let directory: URL
    private let publishing = Mutex<Void>(())

    private var versionsDirectory: URL { directory.appendingPathComponent("versions") }

    /// Opens a store, making its folder if need be, and removes what a writer that was killed left.
    ///
    /// - Throws: ``FileError``.
    public init(directory: URL) throws {
        self.directory = directory
        let versions = directory.appendingPathComponent("versions")
        try FileCalls.makeDirectories(versions)
        try AtomicFile.removeLeftovers(in: directory)
        try AtomicFile.removeLeftovers(in: versions)
    }

    /// The versions there are, ascending.
    public func versions() throws -> [Int] {
        try DirectoryListing.names(in: versionsDirectory.path).compactMap { name in
            Int(name).flatMap { IndexVersionStore.name(of: $0) == name ? $0 : nil }
        }.sorted()
    }

    /// The version that `CURRENT` names; nil if nothing was published yet.
    ///
    /// - Throws: ``IndexStoreError/damaged(file:reason:)``.
    public func current() throws -> Int? {
        do {
            guard let pointer = try CurrentPointer(in: directory) else { return nil }
            if let version = Int(pointer.name), IndexVersionStore.name(of: version) == pointer.name
            {
                return version
            }
        } catch KnowledgeBaseError.damaged(let file, let reason) {
            throw IndexStoreError.damaged(file: file, reason: reason)
        }
        throw IndexStoreError.damaged(
            file: CurrentPointer.url(in: directory).path, reason: "it names no version")
    }

    /// Opens a version and holds it.
    ///
    /// - Throws: ``IndexStoreError``, ``FileError``.
    public func open(version: Int) throws -> StoredIndexVersion {
        let hold = VersionHold(directory: directory, version: version)
        let folder = url(of: version)
        guard FileCalls.exists(folder.path) else {
            throw IndexStoreError.noSuchVersion(
                version: version, directory: directory.path, available: try versions())
        }
        return try StoredIndexVersion(folder, version: version, hold: hold)
    }

    /// Opens the current version, or the newest complete one if that is damaged.
    ///
    /// - Returns: The version, and what is wrong with those that should have come before it: say so
    ///   to the user. Nil if there is no version at all.
    /// - Throws: The first fault if no version can be opened.
    public func openCurrent() throws -> (version: StoredIndexVersion, faults: [any Error])? {
        var faults: [any Error] = []
        var candidates = Array(try versions().reversed())
        do {
            if let current = try current() {
                candidates.removeAll { $0 == current }
                candidates.insert(current, at: 0)
            }
        } catch {
            faults.append(error)
        }
        for candidate in candidates {
            do {
                return (try open(version: candidate), faults)
            } catch {
                faults.append(error)
            }
        }
        if let first = faults.first { throw first }
        return nil
    }

    /// Writes a new version and makes it the current one.
    ///
    /// - Parameters:
    ///   - vectors: `manifest.count` rows of `manifest.dimension` numbers, all finite.
    ///   - addFiles: Writes further files of the index into the folder it is given; plain names.
    /// - Returns: The number of the version, higher than any before.
    /// - Throws: ``IndexStoreError/invalidVectors(reason:)``, ``FileError``, or what `addFiles`
    ///   throws; the version before is then the current one.
    public func publish(
        vectors: UnsafeBufferPointer<Float>, manifest: IndexManifest,
        addFiles: (URL) throws -> Void = { _ in }
    ) throws -> Int {
        try IndexVersionStore.check(vectors, manifest)
        return try publishing.withLock { _ in
            let version = max(try versions().last ?? 0, (try? current()) ?? 0) + 1
            let manifestBytes = try AtomicDirectory.write(to: url(of: version)) { folder in
                var writer = SafetensorsWriter(alignment: 64)
                try writer.add(
                    StoredIndexVersion.vectorTensorName, dtype: .float32,
                    shape: [manifest.count, manifest.dimension]
                ) { emit in try emit(UnsafeRawBufferPointer(vectors)) }
                try writer.write(
                    to: folder.appendingPathComponent(StoredIndexVersion.vectorFileName))
                try addFiles(folder)

                var files = FileList()
                for name in try DirectoryListing.names(in: folder.path) {
                    guard FileList.isPlain(name), name != StoredIndexManifest.fileName else {
                        throw FileError.alreadyExists(path: folder.path + "/" + name)
                    }
                    files[name] = try FileDigest(contentsOf: folder.appendingPathComponent(name))
                }
                let stored = StoredIndexManifest(
                    version: version, manifest: manifest, files: files)
                let bytes = stored.bytes
                try AtomicFile.write(
                    bytes, to: folder.appendingPathComponent(StoredIndexManifest.fileName))
                return bytes
            }
            let name = IndexVersionStore.name(of: version)
            try CurrentPointer(name: name, manifest: manifestBytes).write(in: directory)
            return version
        }
    }

    /// Names another version in `CURRENT`, as when a run goes on from an older checkpoint.
    ///
    /// - Throws: As ``open(version:)``.
    public func makeCurrent(_ version: Int) throws {
        let opened = try open(version: version)
        let url = opened.directory.appendingPathComponent(StoredIndexManifest.fileName)
        let file = try MappedFile(contentsOf: url)
        try publishing.withLock { _ in
            let name = IndexVersionStore.name(of: version)
            try CurrentPointer(name: name, manifest: Array(file.bytes)).write(in: directory)
        }
    }

    /// Removes older versions that nobody needs.
    ///
    /// - Parameters:
    ///   - version: Versions below this number may go.
    ///   - kept: Versions that stay, for instance because checkpoints name them. The current
    ///     version and those open in this process stay as well.
    /// - Returns: The versions removed.
    /// - Throws: ``FileError``; ``IndexStoreError/damaged(file:reason:)`` if `CURRENT` is unreadable:
    ///   then nothing is removed.
    @discardableResult
    public func remove(
        olderThan version: Int, keeping kept: some Sequence<Int> = []
    ) throws -> [Int] {
        let current = try current()
        let kept = Set(kept)
        return try versions().filter { candidate in
            guard candidate < version, candidate != current, !kept.contains(candidate) else {
                return false
            }
            // Under the lock the folder gets a name that no reader looks for; then it can go slowly.
            let folder = url(of: candidate)
            let trash = TemporaryName.beside(folder)
            let isFree = try VersionHold.ifFree(directory: directory, version: candidate) {
                try FileCalls.rename(folder.path, to: trash)
            }
            if isFree { try FileCalls.remove(trash) }
            return isFree
        }
    }

    private static func check(
        _ vectors: UnsafeBufferPointer<Float>, _ manifest: IndexManifest
    ) throws {
        let (expected, overflow) = manifest.count.multipliedReportingOverflow(
            by: manifest.dimension)
        guard manifest.count >= 0, manifest.dimension >= 0, !overflow, expected == vectors.count
        else {
            throw IndexStoreError.invalidVectors(
                reason: "\(vectors.count) numbers for \(manifest.count) vectors of "
                    + "\(manifest.dimension)")
        }
        if let bad = vectors.firstIndex(where: { !$0.isFinite }) {
            throw IndexStoreError.invalidVectors(
                reason: "number \(bad % manifest.dimension) of the vector of passage "
                    + "\(bad / manifest.dimension) is \(vectors[bad])")
        }
    }

    private static func name(of version: Int) -> String {
        KnowledgeBaseManifest.padded(version, 6)
    }

    private func url(of version: Int) -> URL {
        versionsDirectory.appendingPathComponent(IndexVersionStore.name(of: version))
    }
}
