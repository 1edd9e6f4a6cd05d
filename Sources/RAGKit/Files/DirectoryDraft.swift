import Foundation

/// A folder that is being written under a temporary name, and gets its own when it is finished.
///
/// A draft that is not finished is removed when it is released.
final class DirectoryDraft {
    /// The temporary folder.
    let folder: URL
    private let destination: URL
    private let replacing: Bool
    private var isFinished = false

    /// - Throws: ``FileError/alreadyExists(path:)`` if there is something at the destination and
    ///   `replacing` is false; ``FileError``.
    init(of destination: URL, replacing: Bool = false) throws {
        if !replacing && FileCalls.exists(destination.path) {
            throw FileError.alreadyExists(path: destination.path)
        }
        self.destination = destination
        self.replacing = replacing
        let temporary = TemporaryName.beside(destination)
        try FileCalls.makeDirectory(temporary)
        folder = URL(fileURLWithPath: temporary, isDirectory: true)
    }

    deinit {
        if !isFinished { try? FileCalls.remove(folder.path) }
    }

    /// Synchronises everything and renames the folder.
    func finish() throws {
        try DirectoryDraft.synchronizeAll(folder.path)
        if FileCalls.exists(destination.path) {
            guard replacing else { throw FileError.alreadyExists(path: destination.path) }
            try DirectoryDraft.replace(destination, with: folder.path)
        } else {
            try FileCalls.rename(folder.path, to: destination.path)
            isFinished = true
            try FileCalls.synchronize(path: destination.parentPath)
        }
        isFinished = true
    }

    /// Puts the new folder in the old one's place and removes the old one.
    ///
    /// A rename cannot replace a folder that is not empty, so the two are exchanged in one step.
    /// On a file system that cannot do that, the old folder is moved aside first: for a moment there
    /// is nothing at `url`, and the old folder is put back if the new one cannot come.
    private static func replace(_ url: URL, with temporary: String) throws {
        if try FileCalls.exchange(temporary, url.path) {
            try FileCalls.synchronize(path: url.parentPath)
            try FileCalls.remove(temporary)
            return
        }
        let old = TemporaryName.beside(url)
        try FileCalls.rename(url.path, to: old)
        do {
            try FileCalls.rename(temporary, to: url.path)
        } catch {
            try? FileCalls.rename(old, to: url.path)
            throw error
        }
        try FileCalls.synchronize(path: url.parentPath)
        try FileCalls.remove(old)
    }

    private static func synchronizeAll(_ directory: String) throws {
        for name in try DirectoryListing.names(in: directory) {
            let path = directory + "/" + name
            var status = stat()
            guard lstat(path, &status) == 0 else { throw FileCalls.failure("examine", path) }
            switch status.st_mode & S_IFMT {
            case S_IFDIR: try synchronizeAll(path)
            case S_IFREG: try FileCalls.synchronize(path: path)
            default: break
            }
        }
        try FileCalls.synchronize(path: directory)
    }
}
