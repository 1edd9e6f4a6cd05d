import Foundation

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
    public static func write<Result>(
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
    public static func removeLeftovers(in directory: URL) throws -> [String] {
        let names = try DirectoryListing.names(in: directory.path).filter { name in
            guard let owner = TemporaryName.owner(of: name) else { return false }
            return owner != getpid() && kill(owner, 0) != 0 && errno == ESRCH
        }
        for name in names { try FileCalls.remove(directory.path + "/" + name) }
        return names
    }
}

/// Writes a whole folder so that it is there complete, or not at all.
public enum AtomicDirectory {
    /// Writes a folder.
    ///
    /// Everything is written into `name.tmp-…` beside the destination and synchronised, then renamed.
    ///
    /// - Parameters:
    ///   - url: The destination; the folder that holds it must exist.
    ///   - replacing: Whether a folder already there is replaced, **with everything in it**. Files
    ///     of it that are open or mapped stay readable to those who hold them.
    ///   - body: Writes the contents into the folder it is given.
    /// - Throws: What `body` throws, or ``FileError``; ``FileError/alreadyExists(path:)`` if there
    ///   is something at the destination and `replacing` is false.
    public static func write<Result>(
        to url: URL, replacing: Bool = false, _ body: (URL) throws -> Result
    ) throws -> Result {
        if !replacing && FileCalls.exists(url.path) {
            throw FileError.alreadyExists(path: url.path)
        }
        let temporary = TemporaryName.beside(url)
        try FileCalls.makeDirectory(temporary)
        do {
            let result = try body(URL(fileURLWithPath: temporary, isDirectory: true))
            try synchronizeAll(temporary)
            if FileCalls.exists(url.path) {
                guard replacing else { throw FileError.alreadyExists(path: url.path) }
                try replace(url, with: temporary)
            } else {
                try FileCalls.rename(temporary, to: url.path)
                try FileCalls.synchronize(path: url.parentPath)
            }
            return result
        } catch {
            try? FileCalls.remove(temporary)
            throw error
        }
    }

    /// Puts the new folder in the old one's place and removes the old one.
    ///
    /// A rename cannot replace a folder that is not empty, so the two are exchanged in one step.
    /// Where the file system cannot do that, the old folder is moved aside first: then there is
    /// for a moment nothing at `url`, and the old folder is put back if the new one cannot come.
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

/// The names of temporary files: `NAME.tmp-PROCESS-RANDOM`, beside the destination.
enum TemporaryName {
    static func beside(_ url: URL) -> String {
        // Process and random number keep two writers apart; no result depends on the number.
        let random = String(UInt64.random(in: .min ... .max), radix: 16)
        return url.path + ".tmp-\(getpid())-\(random)"
    }

    /// The process that made a temporary file, or nil if the name is not one of ours.
    static func owner(of name: String) -> pid_t? {
        guard let mark = name.range(of: ".tmp-", options: .backwards) else { return nil }
        let parts = name[mark.upperBound...].split(separator: "-", omittingEmptySubsequences: false)
        guard parts.count == 2, UInt64(parts[1], radix: 16) != nil else { return nil }
        return pid_t(parts[0]).flatMap { $0 > 0 ? $0 : nil }
    }
}

enum DirectoryListing {
    /// The names in a folder, sorted, so that nothing depends on the order of the disk.
    static func names(in path: String) throws -> [String] {
        guard let directory = opendir(path) else { throw FileCalls.failure("list", path) }
        defer { closedir(directory) }
        var names: [String] = []
        while let entry = readdir(directory) {
            let name = withUnsafePointer(to: &entry.pointee.d_name) {
                $0.withMemoryRebound(to: CChar.self, capacity: 1) { String(cString: $0) }
            }
            if name != "." && name != ".." { names.append(name) }
        }
        return names.sorted()
    }
}
