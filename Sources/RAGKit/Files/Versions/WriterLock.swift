import Foundation

/// Keeps other writers, also in other processes, away from a folder as long as it lives.
///
/// The file `.lock` in the folder holds the writer's process id. The system releases the lock of a
/// process that ends in whatever way, so a file that is left behind locks nobody out.
final class WriterLock {
    private let descriptor: Int32
    private let path: String

    /// - Throws: ``VersionError/busy(directory:process:)`` with the other writer's process id,
    ///   ``FileError``.
    init(_ directory: URL) throws {
        path = directory.path + "/.lock"
        while true {
            let descriptor = try FileCalls.openLock(path)
            guard flock(descriptor, LOCK_EX | LOCK_NB) == 0 else {
                let code = errno
                let owner = WriterLock.owner(descriptor)
                close(descriptor)
                throw code == EWOULDBLOCK
                    ? VersionError.busy(directory: directory.path, process: owner)
                    : FileError.system(operation: "lock", path: directory.path, code: code)
            }
            // A writer that ended between the two calls has removed the file that was opened.
            var (opened, named) = (stat(), stat())
            if fstat(descriptor, &opened) == 0, stat(path, &named) == 0,
                opened.st_ino == named.st_ino
            {
                let text = Array("\(getpid())\n".utf8)
                _ = ftruncate(descriptor, 0)
                _ = pwrite(descriptor, text, text.count, 0)
                self.descriptor = descriptor
                return
            }
            close(descriptor)
        }
    }

    private static func owner(_ descriptor: Int32) -> Int32? {
        var buffer = [UInt8](repeating: 0, count: 32)
        let count = pread(descriptor, &buffer, buffer.count, 0)
        guard count > 0 else { return nil }
        return Int32(String(decoding: buffer[..<count], as: UTF8.self).prefix { $0.isNumber })
    }

    deinit {
        unlink(path)
        close(descriptor)
    }
}
