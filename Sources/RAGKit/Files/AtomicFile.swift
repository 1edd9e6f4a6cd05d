public import Foundation

/// Writes files so that a reader sees the old contents or the new, and never a mixture.
///
/// The bytes go to a temporary file in the same folder, which is synchronised and renamed over the
/// destination; then the folder is synchronised, so that the rename survives a power loss too.
/// A file that is open or mapped elsewhere keeps its old contents there, so saving over a file that
/// was just loaded is safe. A symbolic link at the destination is replaced, not followed.
public enum AtomicFile {
    /// Writes a file.
    ///
    /// - Parameters:
    ///   - url: The destination; its folder must exist.
    ///   - body: Writes the contents. If it throws, the destination stays as it was.
    /// - Throws: What `body` throws, or ``FileError``. The temporary file is removed in both cases.
    static func write<Result>(
        to url: URL, _ body: (FileSink) throws -> Result
    ) throws -> Result {
        let temporary = TemporaryName.beside(url)
        let descriptor = try FileCalls.create(temporary)
        var isOpen = true
        do {
            let sink = FileSink(descriptor: descriptor, path: temporary)
            let result = try body(sink)
            try sink.finish()
            isOpen = false
            // Network file systems report a failed write as late as here.
            guard close(descriptor) == 0 else { throw FileCalls.failure("close", temporary) }
            try FileCalls.rename(temporary, to: url.path)
            try FileCalls.synchronize(path: url.parentPath)
            return result
        } catch {
            if isOpen { close(descriptor) }
            try? FileCalls.remove(temporary)
            throw error
        }
    }

    /// Writes bytes as the file's whole contents.
    public static func write(_ bytes: [UInt8], to url: URL) throws {
        try write(to: url) { try $0.write(bytes) }
    }

    /// Writes a text as the file's whole contents, in UTF-8.
    public static func write(_ text: String, to url: URL) throws {
        try write(to: url) { try $0.write(text) }
    }

    /// Removes temporary files and folders that processes which no longer run left in a folder.
    ///
    /// - Returns: The names removed.
    /// - Throws: ``FileError``.
    @discardableResult
    static func removeLeftovers(in directory: URL) throws -> [String] {
        let names = try DirectoryListing.names(in: directory.path).filter { name in
            guard let owner = TemporaryName.owner(of: name) else { return false }
            return owner != getpid() && kill(owner, 0) != 0 && errno == ESRCH
        }
        for name in names { try FileCalls.remove(directory.path + "/" + name) }
        return names
    }
}
