/// The table of a zip archive whose entries are stored as they are, checked before one is used.
///
/// It accepts what PyTorch writes and nothing that could mean two things: no compression (so no
/// entry is larger than the file), no encryption, no comment, every entry inside the file and apart
/// from the others, the same size wherever the archive gives one, each name once and harmless.
///
/// Source: PKWARE's APPNOTE.TXT 6.3.10, sections 4.3 to 4.5.
struct ZipArchive {
    struct Entry {
        var name: String
        /// The entry's bytes in the file.
        var data: Range<Int>
        /// The checksum of the bytes; 0 where the writer left it out.
        var crc: UInt32
        /// From the entry's header to the end of all that belongs to it.
        var extent: Range<Int>
    }

    /// The entries in the order of the archive's table.
    private(set) var entries: [Entry] = []
    private var index: [String: Int] = [:]
    private let file: MappedFile

    /// Reads the table of contents.
    ///
    /// - Throws: ``CheckpointError/malformed(file:offset:reason:)`` naming the entry.
    init(_ file: MappedFile) throws {
        self.file = file
        let bytes = ZipBytes(file: file)
        let directory = try ZipDirectory(bytes)
        var position = directory.range.lowerBound
        for _ in 0..<directory.count {
            let record = try ZipRecord(bytes, at: position, limit: directory.range.upperBound)
            position = record.end
            try checkName(record)
            let entry = try record.entry(bytes, limit: directory.range.lowerBound)
            guard index.updateValue(entries.count, forKey: entry.name) == nil else {
                throw bytes.malformed(record.start, "entry '\(entry.name)' is there twice")
            }
            entries.append(entry)
        }
        guard position == directory.range.upperBound else {
            throw bytes.malformed(position, "bytes follow the last entry of the table of contents")
        }
        try checkOverlaps(bytes)
    }

    /// The entry of this name.
    subscript(name: String) -> Entry? { index[name].map { entries[$0] } }

    func bytes(of entry: Entry) -> UnsafeRawBufferPointer {
        UnsafeRawBufferPointer(rebasing: file.bytes[entry.data])
    }

    /// Compares a small entry with its checksum; the large ones would take too long.
    func checkSum(of entry: Entry) throws {
        guard entry.crc != 0 else { return }  // PyTorch can be told to leave checksums out
        let found = CRC32.checksum(of: bytes(of: entry))
        guard found == entry.crc else {
            throw CheckpointError.malformed(
                file: file.path, offset: entry.data.lowerBound,
                reason: "entry '\(entry.name)' is not what was written (CRC-32 differs): copy or "
                    + "download the file again")
        }
    }

    /// A name is never used as a path, but one that tries to be is a sign of ill will.
    private func checkName(_ record: ZipRecord) throws {
        let parts = record.name.split(separator: "/", omittingEmptySubsequences: false)
        let isHarmless =
            !record.name.isEmpty && !parts.contains("..") && parts.first != ""
            && !record.name.unicodeScalars.contains { $0 == "\\" || $0.value < 0x20 }
        guard isHarmless else {
            throw CheckpointError.malformed(
                file: file.path, offset: record.start,
                reason: "the entry name \(JSONValue.quoted(record.name)) leads out of the archive")
        }
    }

    private func checkOverlaps(_ bytes: ZipBytes) throws {
        let sorted = entries.sorted { $0.extent.lowerBound < $1.extent.lowerBound }
        for (one, next) in zip(sorted, sorted.dropFirst())
        where next.extent.lowerBound < one.extent.upperBound {
            throw bytes.malformed(
                next.extent.lowerBound, "entry '\(next.name)' overlaps '\(one.name)'")
        }
    }
}

/// The bytes of an archive, read at places that are checked.
struct ZipBytes {
    let file: MappedFile
    var count: Int { file.bytes.count }

    func malformed(_ offset: Int, _ reason: String) -> CheckpointError {
        .malformed(file: file.path, offset: offset, reason: "zip archive: \(reason)")
    }

    /// A little-endian number at `offset`, which must lie before `limit`.
    func number<Value: FixedWidthInteger & BitwiseCopyable>(
        at offset: Int, as type: Value.Type, limit: Int? = nil
    ) throws -> Value {
        let end = limit ?? count
        guard offset >= 0, offset <= end, end - offset >= MemoryLayout<Value>.size else {
            throw malformed(max(0, min(offset, count)), "a record is cut off")
        }
        return Value(littleEndian: file.bytes.loadUnaligned(fromByteOffset: offset, as: type))
    }

    func small(at offset: Int, limit: Int? = nil) throws -> Int {
        Int(try number(at: offset, as: UInt16.self, limit: limit))
    }

    func medium(at offset: Int, limit: Int? = nil) throws -> Int {
        Int(try number(at: offset, as: UInt32.self, limit: limit))
    }

    /// A size or place of 64 bits, none of which may be beyond the file.
    func large(at offset: Int, limit: Int? = nil) throws -> Int {
        let value = try number(at: offset, as: UInt64.self, limit: limit)
        guard value <= UInt64(count) else {
            throw malformed(offset, "a size or place of \(value) in a file of \(count) bytes")
        }
        return Int(value)
    }
}

/// The checksum of zip archives, bit-reversed polynomial 0xEDB88320.
enum CRC32 {
    static func checksum(of bytes: UnsafeRawBufferPointer) -> UInt32 {
        ~bytes.reduce(0xFFFF_FFFF) { crc, byte in
            crc >> 8 ^ table[Int((crc ^ UInt32(byte)) & 0xFF)]
        }
    }

    private static let table: [UInt32] = (0..<256).map { byte in
        (0..<8).reduce(UInt32(byte)) { crc, _ in
            crc & 1 == 1 ? crc >> 1 ^ 0xEDB8_8320 : crc >> 1
        }
    }
}
