/// The cyclic redundancy check CRC-32C (Castagnoli), which finds accidental changes of bytes.
///
/// It is no protection against someone who changes a file on purpose.
///
/// Source: RFC 3720 appendix B.4; the table method is "slicing-by-8", Kounavis and Berry 2005.
struct CRC32C: Sendable {
    private var state: UInt32 = 0xFFFF_FFFF

    init() {}

    /// The checksum of all bytes given so far; 0 if there were none.
    var value: UInt32 { ~state }

    /// Takes in more bytes.
    mutating func update(_ bytes: UnsafeRawBufferPointer) {
        guard let base = bytes.baseAddress else { return }
        var crc = state
        var position = 0
        CRC32C.tables.withUnsafeBufferPointer { table in
            while position + 8 <= bytes.count {
                let word = base.loadUnaligned(fromByteOffset: position, as: UInt64.self)
                let mixed = UInt64(littleEndian: word) ^ UInt64(crc)
                crc =
                    table[0x700 | Int(mixed & 0xFF)]
                    ^ table[0x600 | Int(mixed >> 8 & 0xFF)]
                    ^ table[0x500 | Int(mixed >> 16 & 0xFF)]
                    ^ table[0x400 | Int(mixed >> 24 & 0xFF)]
                    ^ table[0x300 | Int(mixed >> 32 & 0xFF)]
                    ^ table[0x200 | Int(mixed >> 40 & 0xFF)]
                    ^ table[0x100 | Int(mixed >> 48 & 0xFF)]
                    ^ table[Int(mixed >> 56)]
                position += 8
            }
            while position < bytes.count {
                crc = crc >> 8 ^ table[Int((crc ^ UInt32(bytes[position])) & 0xFF)]
                position += 1
            }
        }
        state = crc
    }

    /// The checksum of some bytes.
    static func checksum(of bytes: UnsafeRawBufferPointer) -> UInt32 {
        var crc = CRC32C()
        crc.update(bytes)
        return crc.value
    }

    /// Eight tables of 256 entries, back to back: table k advances a byte by k further zero bytes.
    private static let tables: [UInt32] = {
        var tables = [UInt32](repeating: 0, count: 8 * 256)
        for byte in 0..<256 {
            var crc = UInt32(byte)
            for _ in 0..<8 { crc = crc & 1 == 1 ? crc >> 1 ^ 0x82F6_3B78 : crc >> 1 }
            tables[byte] = crc
        }
        for index in 256..<tables.count {
            let previous = tables[index - 256]
            tables[index] = previous >> 8 ^ tables[Int(previous & 0xFF)]
        }
        return tables
    }()
}
