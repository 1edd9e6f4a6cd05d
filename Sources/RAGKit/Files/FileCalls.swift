import Foundation

/// The system calls that change the disk, with errors that name the path.
///
/// Everything that RAGKit writes passes through here, so that a test can make the n-th call fail
/// and try every n.
enum FileCalls {
    /// Runs before each call below; throwing from it stands for a full disk, a broken disk or,
    /// when it keeps throwing, a process that is no more.
    ///
    /// A class around the closure, because a task-local of a closure type crashes when it is bound
    /// in optimised code (Swift 6.3 on Linux: the type's metadata is null).
    final class Interceptor: Sendable {
        private let body: @Sendable (_ operation: String) throws -> Void
        init(_ body: @escaping @Sendable (_ operation: String) throws -> Void) { self.body = body }
        func check(_ operation: String) throws { try body(operation) }
    }

    @TaskLocal static var interceptor: Interceptor?

    static func failure(_ operation: String, _ path: String) -> FileError {
        .system(operation: operation, path: path, code: errno)
    }

    /// Opens a file that must not exist yet.
    static func create(_ path: String) throws -> Int32 {
        try interceptor?.check("create")
        let descriptor = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0o666)
        guard descriptor >= 0 else { throw failure("create", path) }
        return descriptor
    }

    /// Opens a file whose bytes stay and that is written at its end.
    static func openForAppending(_ path: String) throws -> Int32 {
        try interceptor?.check("create")
        let descriptor = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0o666)
        guard descriptor >= 0 else { throw failure("open", path) }
        return descriptor
    }

    /// Opens a lock's file, which is created if there is none.
    static func openLock(_ path: String) throws -> Int32 {
        try interceptor?.check("lock")
        let descriptor = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0o666)
        guard descriptor >= 0 else { throw failure("create", path) }
        return descriptor
    }

    static func write(_ bytes: UnsafeRawBufferPointer, to descriptor: Int32, path: String) throws {
        try interceptor?.check("write")
        var rest = bytes
        while !rest.isEmpty {
            let written = Foundation.write(descriptor, rest.baseAddress, rest.count)
            if written < 0 {
                if errno == EINTR { continue }
                throw failure("write to", path)
            }
            rest = UnsafeRawBufferPointer(rebasing: rest[written...])
        }
    }

    static func synchronize(_ descriptor: Int32, path: String) throws {
        try interceptor?.check("fsync")
        while fsync(descriptor) != 0 {
            if errno == EINTR { continue }
            // Some file systems cannot synchronise a folder and say EINVAL: nothing more to do.
            if errno == EINVAL { return }
            throw failure("synchronise", path)
        }
    }

    /// Makes what was written to a file, or the names in a folder, survive a power loss.
    static func synchronize(path: String) throws {
        let descriptor = open(path, O_RDONLY | O_CLOEXEC)
        guard descriptor >= 0 else { throw failure("open", path) }
        defer { close(descriptor) }
        try synchronize(descriptor, path: path)
    }

    static func rename(_ from: String, to path: String) throws {
        try interceptor?.check("rename")
        guard Foundation.rename(from, path) == 0 else { throw failure("replace", path) }
    }

    /// Lets two paths change their contents in one step.
    ///
    /// - Returns: True if the system and the file system can do this; if not, nothing has changed.
    static func exchange(_ first: String, _ second: String) throws -> Bool {
        try interceptor?.check("exchange")
        #if canImport(Darwin)
            return renamex_np(first, second, UInt32(RENAME_SWAP)) == 0
        #else
            // Linux has the call, but not every C library's header shows it.
            typealias RenameAt2 =
                @convention(c) (
                    Int32, UnsafePointer<CChar>, Int32, UnsafePointer<CChar>, UInt32
                ) -> Int32
            guard let symbol = dlsym(nil, "renameat2") else { return false }
            let renameAt2 = unsafeBitCast(symbol, to: RenameAt2.self)
            let exchangeFlag: UInt32 = 2  // RENAME_EXCHANGE
            return renameAt2(AT_FDCWD, first, AT_FDCWD, second, exchangeFlag) == 0
        #endif
    }

    static func makeDirectory(_ path: String) throws {
        try interceptor?.check("mkdir")
        guard mkdir(path, 0o777) == 0 else { throw failure("create folder", path) }
    }

    /// Creates a folder, and those above it that do not exist yet.
    static func makeDirectories(_ url: URL) throws {
        if exists(url.path) { return }
        let parent = url.deletingLastPathComponent()
        if parent.path != url.path { try makeDirectories(parent) }
        do {
            try makeDirectory(url.path)
        } catch FileError.system(_, _, EEXIST) {
            // Somebody else was faster.
        }
    }

    /// Removes a file, or a folder with all it holds; links are removed, not followed.
    static func remove(_ path: String) throws {
        try interceptor?.check("remove")
        if unlink(path) == 0 || errno == ENOENT { return }
        // Linux says EISDIR for a folder, others EPERM.
        guard errno == EISDIR || errno == EPERM else { throw failure("remove", path) }
        for name in try DirectoryListing.names(in: path) { try remove(path + "/" + name) }
        guard rmdir(path) == 0 else { throw failure("remove folder", path) }
    }

    /// Removes a folder that holds nothing; any other stays.
    static func removeIfEmpty(_ path: String) { rmdir(path) }

    /// Removes a folder that holds nothing.
    static func removeEmptyFolder(_ path: String) throws {
        try interceptor?.check("remove")
        guard rmdir(path) == 0 else { throw failure("replace", path) }
    }

    static func exists(_ path: String) -> Bool {
        var status = stat()
        return lstat(path, &status) == 0
    }
}

extension URL {
    /// The folder that holds this file, as a path; `.` for a bare relative name.
    var parentPath: String {
        let parent = deletingLastPathComponent().path
        return parent.isEmpty ? "." : parent
    }
}
