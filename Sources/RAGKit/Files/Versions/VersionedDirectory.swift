import Foundation

/// A folder of versions that are never changed: readers open one, a single writer adds others.
///
/// A version is there complete or not at all: its manifest, which lists its files with checksums, is
/// written last. `CURRENT`, where there is one, names the live version; it is replaced in one step.
/// Knowledge bases, index versions and checkpoints are all kept like this.
struct VersionedDirectory: Sendable {
    /// The place of a version's manifest and files.
    enum Layout: Equatable, Sendable {
        /// A folder for each version, `NAME/manifest.json`, in a subfolder or (nil) beside `CURRENT`.
        case folders(in: String?)
        /// `manifest-NAME.json` for each version, beside folders of files that versions may share.
        case sharedFiles
    }

    static let manifestName = "manifest.json"

    let directory: URL
    let kind: VersionKind
    let layout: Layout

    /// The folder that holds the versions' folders or manifests.
    var versionsFolder: URL {
        if case .folders(let name?) = layout { return directory.appendingPathComponent(name) }
        return directory
    }

    /// The folder that the paths in a version's manifest are relative to.
    func folder(of name: String) -> URL {
        layout == .sharedFiles ? directory : versionsFolder.appendingPathComponent(name)
    }

    func manifestURL(of name: String) -> URL {
        layout == .sharedFiles
            ? directory.appendingPathComponent("manifest-\(name).json")
            : folder(of: name).appendingPathComponent(VersionedDirectory.manifestName)
    }

    /// A number as a name that sorts with others: `000007`.
    static func name(_ number: Int, width: Int = 6) -> String {
        let digits = String(number)
        return String(repeating: "0", count: max(0, width - digits.count)) + digits
    }

    // MARK: - Reading

    /// The names of the versions there are, by the numbers at their ends, then by name.
    ///
    /// - Parameter isName: Tells versions from other folders.
    func names(where isName: (String) -> Bool = { _ in true }) throws -> [String] {
        let found = try DirectoryListing.names(in: versionsFolder.path).compactMap { entry in
            guard layout == .sharedFiles else { return entry }
            guard entry.hasPrefix("manifest-"), entry.hasSuffix(".json") else { return nil }
            return String(entry.dropFirst("manifest-".count).dropLast(".json".count))
        }
        func number(_ name: String) -> Int {
            let digits = name.utf8.reversed().prefix { (0x30...0x39).contains($0) }
            return Int(String(decoding: digits.reversed(), as: UTF8.self)) ?? -1
        }
        return
            found
            .filter { name in
                FileList.isPlain(name) && isName(name)
                    && FileCalls.exists(manifestURL(of: name).path)
            }
            .sorted { (number($0), $0) < (number($1), $1) }
    }

    /// The name that `CURRENT` holds; nil if there is no such file.
    ///
    /// - Throws: ``VersionError``, ``FileError``.
    func current() throws -> String? { try CurrentPointer(in: directory, kind)?.name }

    /// Reads a version's manifest, and compares its files with their checksums.
    ///
    /// - Parameter isWhole: If true, every byte is compared; else the size and the first MiB of each.
    /// - Throws: ``VersionError`` naming the file that is missing or damaged, ``FileError``.
    func open(_ name: String, isWhole: Bool = false) throws -> VersionManifest {
        let manifest = try manifest(of: name)
        try compareFiles(of: manifest, isWhole: isWhole)
        return manifest
    }

    /// Compares the files of a version with their checksums.
    func compareFiles(of manifest: VersionManifest, isWhole: Bool) throws {
        for path in manifest.files.paths {
            let url = folder(of: manifest.name).appendingPathComponent(path)
            if let problem = try manifest.files[path]?.problem(at: url, isWhole: isWhole) {
                throw kind.damaged(url, problem)
            }
        }
    }

    /// Reads a version's manifest.
    ///
    /// - Throws: ``VersionError``, ``FileError``.
    func manifest(of name: String) throws -> VersionManifest {
        // A damaged CURRENT says nothing about a version that is asked for by name.
        let pointer = (try? CurrentPointer(in: directory, kind)) ?? nil
        return try VersionManifest(
            contentsOf: manifestURL(of: name), name: name, kind,
            checksum: pointer?.name == name ? pointer?.checksum : nil)
    }

    /// Keeps a version from being removed by this process, as long as the result lives.
    func hold(_ name: String) -> VersionHold { VersionHold(directory: versionsFolder, name: name) }

    // MARK: - Writing

    /// Makes the folders if need be, and removes what a writer that was killed left.
    func prepare() throws {
        try FileCalls.makeDirectories(versionsFolder)
        for folder in Set([directory, versionsFolder]) {
            try AtomicFile.removeLeftovers(in: folder)
        }
    }

    /// Keeps other writers away as long as the result lives.
    ///
    /// - Throws: ``VersionError/busy(directory:process:)``, ``FileError``.
    func lock() throws -> WriterLock { try WriterLock(directory) }

    /// Begins a version in a folder of its own, which appears when the draft is finished.
    ///
    /// - Parameter replacing: If true, a version of that name is replaced, which must not be the one
    ///   that `CURRENT` names: between the two steps its checksum would not fit.
    /// - Parameter lock: A lock to keep as long as the draft lives.
    func begin(
        _ name: String, replacing: Bool = false, holding lock: WriterLock? = nil
    ) throws -> VersionDraft {
        try VersionDraft(name, in: self, replacing: replacing, holding: lock)
    }

    /// Writes a manifest whose files are there already, and makes it the live one.
    func publish(_ manifest: VersionManifest) throws {
        let bytes = manifest.bytes(kind)
        try AtomicFile.write(bytes, to: manifestURL(of: manifest.name))
        try CurrentPointer(name: manifest.name, manifest: bytes).write(in: directory)
    }

    /// Names a version in `CURRENT`.
    ///
    /// - Throws: As ``open(_:isWhole:)``.
    func makeCurrent(_ name: String) throws {
        _ = try open(name)
        let file = try MappedFile(contentsOf: manifestURL(of: name))
        let bytes = withExtendedLifetime(file) { Array(file.bytes) }
        try CurrentPointer(name: name, manifest: bytes).write(in: directory)
    }

    /// Removes a version with a folder of its own, unless this process holds it.
    ///
    /// - Returns: True if it was removed.
    func remove(_ name: String) throws -> Bool {
        // Under the lock the folder gets a name that no reader looks for; then it can go slowly.
        let folder = folder(of: name)
        let trash = TemporaryName.beside(folder)
        let isFree = try VersionHold.ifFree(directory: versionsFolder, name: name) {
            try FileCalls.rename(folder.path, to: trash)
        }
        if isFree { try FileCalls.remove(trash) }
        return isFree
    }

    /// Removes a version of shared files: its manifest, and the files that `newer` does not list.
    ///
    /// Files that nobody listed are left alone. Who has a file mapped keeps its contents.
    func remove(_ manifest: VersionManifest, keeping newer: VersionManifest?) throws {
        var folders: Set<URL> = []
        for path in manifest.files.paths where newer?.files[path] == nil {
            let url = directory.appendingPathComponent(path)
            try FileCalls.remove(url.path)
            folders.insert(url.deletingLastPathComponent())
        }
        for folder in folders where folder.path != directory.path {
            FileCalls.removeIfEmpty(folder.path)
        }
        try FileCalls.remove(manifestURL(of: manifest.name).path)
    }
}
