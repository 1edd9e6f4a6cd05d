import Foundation

/// A file's size and the CRC-32C of each of its blocks of 1 MiB.
struct FileDigest: Equatable, Sendable {
    static let blockSize = 1 << 20
    var byteCount: Int
    var blocks: [UInt32]

    init(byteCount: Int, blocks: [UInt32]) {
        self.byteCount = byteCount
        self.blocks = blocks
    }

    init(of bytes: UnsafeRawBufferPointer) {
        byteCount = bytes.count
        blocks = (0..<FileDigest.blockCount(bytes.count)).map { FileDigest.checksum($0, bytes) }
    }

    static func blockCount(_ byteCount: Int) -> Int {
        byteCount / blockSize + (byteCount % blockSize == 0 ? 0 : 1)
    }

    private static func checksum(_ block: Int, _ bytes: UnsafeRawBufferPointer) -> UInt32 {
        let begin = block * blockSize
        let end = min(begin + blockSize, bytes.count)
        return CRC32C.checksum(of: UnsafeRawBufferPointer(rebasing: bytes[begin..<end]))
    }

    /// Compares the size and the first blocks with what was written; a sentence if they differ.
    ///
    /// - Parameter limit: The number of blocks to read; nil for all.
    func problem(in bytes: UnsafeRawBufferPointer, limit: Int? = nil) -> String? {
        guard bytes.count == byteCount else {
            return "it has \(bytes.count) bytes instead of \(byteCount)"
        }
        guard blocks.count == FileDigest.blockCount(byteCount) else {
            return "its list of checksums has \(blocks.count) entries for \(byteCount) bytes"
        }
        for block in 0..<min(blocks.count, limit ?? .max)
        where FileDigest.checksum(block, bytes) != blocks[block] {
            let begin = block * FileDigest.blockSize
            let end = min(begin + FileDigest.blockSize, byteCount)
            return "bytes \(begin)..<\(end) are not those that were written (CRC-32C differs)"
        }
        return nil
    }
}

extension FileDigest {
    /// The digest of a file on the disk.
    init(contentsOf url: URL) throws {
        let file = try MappedFile(contentsOf: url)
        self = withExtendedLifetime(file) { FileDigest(of: file.bytes) }
    }

    /// Compares a file with what was written; a sentence if they differ.
    ///
    /// - Parameter isWhole: If true, all of it is read. Otherwise its size and first block are
    ///   compared, which for small files is everything and for others holds the header.
    /// - Throws: ``FileError`` if the file cannot be read; one that is not there is a difference.
    func problem(at url: URL, isWhole: Bool) throws -> String? {
        do {
            let file = try MappedFile(contentsOf: url)
            return withExtendedLifetime(file) { problem(in: file.bytes, limit: isWhole ? nil : 1) }
        } catch let error as FileError where error.isMissing {
            return "it is not there"
        }
    }
}
