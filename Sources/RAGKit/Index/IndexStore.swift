public import Foundation

/// The versions of a run's index: `versions/000007/` with vectors, index files and manifest, and
/// `CURRENT`.
///
/// A version is there complete or not at all, and is never changed. Publishing makes a new one and
/// then names it in `CURRENT`; readers keep the one they opened. One run writes, any number read.
public final class IndexStore: Sendable {
    /// The folder, for instance `run/index`.
    public let directory: URL
    private let kinds: [any IndexKind]
    private let versioned: VersionedDirectory

    static let vectorFileName = "embeddings.safetensors"
    static let kind = VersionKind(
        format: "ragkit-index", formatVersion: 2, noun: "an index",
        remedy: "use another version, or encode the passages again")

    /// Opens a store, making its folder if need be.
    ///
    /// - Parameter kinds: The kinds of index that it can open.
    /// - Throws: ``FileError``.
    public init(directory: URL, kinds: [any IndexKind] = .builtIn) throws {
        self.directory = directory
        self.kinds = kinds
        versioned = VersionedDirectory(
            directory: directory, kind: IndexStore.kind, layout: .folders(in: "versions"))
        try FileCalls.makeDirectories(versioned.versionsFolder)
    }

    // MARK: - Reading

    /// The numbers of the versions there are, ascending.
    public func versions() throws -> [Int] {
        try versioned.names(where: { IndexStore.number($0) != nil })
            .compactMap(IndexStore.number)
    }

    /// The number that `CURRENT` holds; nil if nothing was published yet.
    ///
    /// - Throws: ``VersionError/damaged(file:reason:remedy:)``.
    public func current() throws -> Int? {
        guard let name = try versioned.current() else { return nil }
        guard let number = IndexStore.number(name) else {
            throw IndexStore.kind.damaged(CurrentPointer.url(in: directory), "it names no version")
        }
        return number
    }

    /// Opens a version, mapped: nothing of it is read into memory until it is searched.
    ///
    /// - Throws: ``VersionError``, ``IndexError/unknownKind(name:known:)``, ``FileError``.
    public func open(version number: Int) throws -> IndexVersion {
        let name = VersionedDirectory.name(number)
        let hold = versioned.hold(name)
        guard FileCalls.exists(versioned.folder(of: name).path) else {
            throw VersionError.noSuchVersion(
                name: name, directory: directory.path,
                available: try versions().map { VersionedDirectory.name($0) })
        }
        let manifest = try versioned.open(name)
        let folder = versioned.folder(of: name)
        let file = folder.appendingPathComponent(IndexStore.vectorFileName)
        do {
            let rows = try VectorFile(contentsOf: file, holding: hold)
            guard manifest.files[IndexStore.vectorFileName] != nil else {
                throw ManifestFault("its files: it lists no vectors")
            }
            var version = try IndexVersion(index: FlatIndex(rows), manifest.content)
            guard version.number == number else {
                throw ManifestFault("its version: it belongs to version \(version.number)")
            }
            guard rows.count == (try manifest.content.count("count")),
                rows.dimension == (try manifest.content.count("dimension"))
            else {
                throw IndexStore.kind.damaged(
                    file, "its shape \(rows.vectors.shape) is not the manifest's")
            }
            version.index = try kind(named: version.kind).open(folder, rows: rows)
            return version
        } catch let error as CheckpointError {
            throw IndexStore.kind.damaged(file, error.description)
        } catch let fault as ManifestFault {
            throw IndexStore.kind.damaged(versioned.manifestURL(of: name), fault.reason)
        }
    }

    /// Opens the current version, or the newest complete one if that is damaged.
    ///
    /// - Returns: The version, and the faults of those that should have come before it, which are
    ///   to be shown to the user. Nil if there is no version at all.
    /// - Throws: The first fault if no version can be opened.
    public func open() throws -> (version: IndexVersion, faults: [any Error])? {
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

    /// Reads every byte of a version and compares it with the checksums.
    ///
    /// - Throws: ``VersionError/damaged(file:reason:remedy:)`` naming file and bytes.
    public func verify(version number: Int) throws {
        _ = try versioned.open(VersionedDirectory.name(number), isWhole: true)
    }

    // MARK: - Writing

    /// Writes vectors as a new version and makes it the current one.
    ///
    /// - Parameters:
    ///   - rows: The vectors of all passages.
    ///   - kind: The index to build over them.
    /// - Returns: The version, whose number is higher than any before.
    /// - Throws: ``IndexError/notFinite(row:column:value:)``, what the kind throws, ``FileError``;
    ///   the version before is then the current one.
    public func publish(
        _ rows: VectorFile, step: Int = 0, origin: IndexOrigin = IndexOrigin(),
        kind: any IndexKind = FlatIndexKind()
    ) throws -> IndexVersion {
        let ids = rows.rowIDs.map { $0.map { PassageID($0) } }
        let draft = try IndexDraft(
            count: rows.count, dimension: rows.dimension, ids: ids, kind: kind, store: self)
        try draft.writer.append(rows.vectors)
        return try draft.publish(step: step, origin: origin, previous: nil)
    }

    /// Begins a version of a kind that the store can open again, and removes what a writer that was
    /// killed left. Other writers are kept away as long as the draft lives.
    func begin(_ kind: any IndexKind) throws -> (draft: VersionDraft, number: Int) {
        _ = try self.kind(named: kind.name)
        let lock = try versioned.lock()
        try versioned.prepare()
        // A folder without a manifest is no version, but has its number.
        let taken = try DirectoryListing.names(in: versioned.versionsFolder.path)
            .compactMap(IndexStore.number)
        let number = max(taken.max() ?? 0, (try? current()) ?? 0) + 1
        return (try versioned.begin(VersionedDirectory.name(number), holding: lock), number)
    }

    func publish(_ draft: VersionDraft, _ version: IndexVersion) throws -> IndexVersion {
        _ = try draft.finish(content: version.content, isCurrent: true)
        return try open(version: version.number)
    }

    /// Names another version in `CURRENT`, as when a run goes on from an older checkpoint.
    ///
    /// - Throws: As ``open(version:)``.
    public func makeCurrent(_ number: Int) throws {
        _ = try open(version: number)
        let lock = try versioned.lock()
        defer { withExtendedLifetime(lock) {} }
        try versioned.makeCurrent(VersionedDirectory.name(number))
    }

    /// Removes older versions that nobody needs.
    ///
    /// - Parameters:
    ///   - version: Versions below this number may go.
    ///   - kept: Versions that stay, for instance because checkpoints name them. The current
    ///     version and those open in this process stay as well.
    /// - Returns: The versions removed.
    /// - Throws: ``FileError``; ``VersionError/damaged(file:reason:remedy:)`` if `CURRENT` is
    ///   unreadable: then nothing is removed.
    @discardableResult
    public func remove(
        olderThan version: Int, keeping kept: some Sequence<Int> = []
    ) throws -> [Int] {
        let lock = try versioned.lock()
        defer { withExtendedLifetime(lock) {} }
        let current = try current()
        let kept = Set(kept)
        return try versions().filter { candidate in
            guard candidate < version, candidate != current, !kept.contains(candidate) else {
                return false
            }
            return try versioned.remove(VersionedDirectory.name(candidate))
        }
    }

    func kind(named name: String) throws -> any IndexKind {
        guard let kind = kinds.first(where: { $0.name == name }) else {
            throw IndexError.unknownKind(name: name, known: kinds.map(\.name))
        }
        return kind
    }

    /// The number of a version's name; nil for other names.
    private static func number(_ name: String) -> Int? {
        Int(name).flatMap { VersionedDirectory.name($0) == name ? $0 : nil }
    }
}
