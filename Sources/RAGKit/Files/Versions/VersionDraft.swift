import Foundation

/// A version that is being written; it is removed again if it is released before it is finished.
final class VersionDraft {
    let name: String
    /// The folder to write files into.
    var folder: URL { draft.folder }
    private let directory: VersionedDirectory
    private let draft: DirectoryDraft
    private var lock: WriterLock?

    init(
        _ name: String, in directory: VersionedDirectory, replacing: Bool,
        holding lock: WriterLock?
    ) throws {
        self.name = name
        self.lock = lock
        self.directory = directory
        draft = try DirectoryDraft(of: directory.folder(of: name), replacing: replacing)
    }

    /// Writes the manifest with the checksums of all files, and gives the folder its name.
    ///
    /// - Parameters:
    ///   - content: The keys of the version's kind.
    ///   - isCurrent: If true, `CURRENT` names the version then.
    /// - Throws: ``FileError``; the version before is then the live one.
    func finish(content: JSONObject, isCurrent: Bool) throws -> VersionManifest {
        var files = FileList()
        for path in try VersionDraft.paths(in: draft.folder) {
            guard FileList.isSafe(path: path), path != VersionedDirectory.manifestName else {
                throw FileError.invalidName(path: draft.folder.path + "/" + path)
            }
            files[path] = try FileDigest(contentsOf: draft.folder.appendingPathComponent(path))
        }
        let manifest = VersionManifest(name: name, content: content, files: files)
        let bytes = manifest.bytes(directory.kind)
        try AtomicFile.write(
            bytes, to: draft.folder.appendingPathComponent(VersionedDirectory.manifestName))
        try draft.finish()
        if isCurrent {
            try CurrentPointer(name: name, manifest: bytes).write(in: directory.directory)
        }
        lock = nil
        return manifest
    }

    /// The files of a folder and its subfolders, as paths relative to it.
    private static func paths(in folder: URL) throws -> [String] {
        try DirectoryListing.names(in: folder.path).flatMap { name in
            var status = stat()
            let url = folder.appendingPathComponent(name)
            guard lstat(url.path, &status) == 0 else {
                throw FileCalls.failure("examine", url.path)
            }
            guard status.st_mode & S_IFMT == S_IFDIR else { return [name] }
            return try paths(in: url).map { "\(name)/\($0)" }
        }
    }
}
