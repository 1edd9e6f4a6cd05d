import Foundation

/// A file's bytes, read-only, mapped into memory: pages are read from the disk when first touched.
///
/// The bytes are valid as long as this object lives. Replacing the file by renaming another over it
/// does not disturb the mapping; truncating the file in place would end the process, which is why
/// RAGKit never writes in place. For folders on a network, where others may truncate, use
/// ``Access/copied``.
///
/// `@unchecked Sendable`: the bytes are never written after `init`, and only `deinit` frees them.
final class MappedFile: @unchecked Sendable {
    /// The way in which the bytes get into memory.
    enum Access: Sendable {
        /// Mapped: nothing is read until it is touched.
        case mapped
        /// Read whole into memory: later changes of the file cannot be seen.
        case copied
    }

    /// The path the file was opened with, for messages.
    let path: String
    /// The whole file. The base address is aligned to 64 bytes at least.
    let bytes: UnsafeRawBufferPointer
    let access: Access

    /// Opens a file; an empty one has no bytes.
    ///
    /// - Throws: ``FileError`` with the path and the system's reason.
    init(contentsOf url: URL, access: Access = .mapped) throws {
        path = url.path
        self.access = access
        // Non-blocking, so that a named pipe is refused below instead of waited for.
        let descriptor = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK)
        guard descriptor >= 0 else { throw FileCalls.failure("open", path) }
        defer { close(descriptor) }
        var status = stat()
        guard fstat(descriptor, &status) == 0 else { throw FileCalls.failure("examine", path) }
        guard status.st_mode & S_IFMT == S_IFREG else { throw FileError.notAFile(path: path) }

        let count = Int(status.st_size)
        guard count > 0 else {
            bytes = UnsafeRawBufferPointer(start: nil, count: 0)
            return
        }
        switch access {
        case .mapped:
            let address = mmap(nil, count, PROT_READ, MAP_PRIVATE, descriptor, 0)
            guard let address, address != MAP_FAILED else { throw FileCalls.failure("map", path) }
            bytes = UnsafeRawBufferPointer(start: address, count: count)
        case .copied:
            let copy = UnsafeMutableRawBufferPointer.allocate(byteCount: count, alignment: 64)
            do {
                try MappedFile.read(descriptor, into: copy, path: path)
            } catch {
                copy.deallocate()
                throw error
            }
            bytes = UnsafeRawBufferPointer(copy)
        }
    }

    /// Bytes that are in memory already, copied, as if they were a file's.
    init(copying content: UnsafeRawBufferPointer, path: String) {
        self.path = path
        access = .copied
        let copy = UnsafeMutableRawBufferPointer.allocate(
            byteCount: content.count, alignment: 64)
        copy.copyMemory(from: content)
        bytes = UnsafeRawBufferPointer(copy)
    }

    private static func read(
        _ descriptor: Int32, into buffer: UnsafeMutableRawBufferPointer, path: String
    ) throws {
        var position = 0
        while position < buffer.count {
            let rest = UnsafeMutableRawBufferPointer(rebasing: buffer[position...])
            let count = Foundation.read(descriptor, rest.baseAddress, rest.count)
            if count < 0 {
                if errno == EINTR { continue }
                throw FileCalls.failure("read", path)
            }
            // The file shrank while it was read.
            guard count > 0 else {
                throw FileError.system(operation: "read all of", path: path, code: EIO)
            }
            position += count
        }
    }

    deinit {
        guard let address = bytes.baseAddress else { return }
        switch access {
        case .mapped: munmap(UnsafeMutableRawPointer(mutating: address), bytes.count)
        case .copied: bytes.deallocate()
        }
    }
}
