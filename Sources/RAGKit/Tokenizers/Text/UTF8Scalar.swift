/// Scalars as they are written in UTF-8.
enum UTF8Scalar {
    /// The number of bytes of the scalar that begins with `first`.
    @inline(__always)
    static func length(_ first: UInt8) -> Int {
        first < 0x80 ? 1 : first < 0xE0 ? 2 : first < 0xF0 ? 3 : 4
    }

    static func append(_ scalar: UInt32, to text: inout [UInt8]) {
        forEachByte(of: scalar) { text.append($0) }
    }

    /// Calls `body` with the bytes of a scalar, one to four.
    @inline(__always)
    static func forEachByte(of scalar: UInt32, _ body: (UInt8) -> Void) {
        func add(_ byte: UInt32) { body(UInt8(truncatingIfNeeded: byte)) }
        switch scalar {
        case 0..<0x80: add(scalar)
        case 0x80..<0x800:
            add(0xC0 | scalar >> 6)
            add(0x80 | scalar & 0x3F)
        case 0x800..<0x10000:
            add(0xE0 | scalar >> 12)
            add(0x80 | scalar >> 6 & 0x3F)
            add(0x80 | scalar & 0x3F)
        default:
            add(0xF0 | scalar >> 18)
            add(0x80 | scalar >> 12 & 0x3F)
            add(0x80 | scalar >> 6 & 0x3F)
            add(0x80 | scalar & 0x3F)
        }
    }

    /// The start of the scalar that ends at `end`.
    static func start(in text: UnsafeBufferPointer<UInt8>, before end: Int) -> Int {
        var start = end - 1
        while start > 0, text[start] & 0xC0 == 0x80 { start -= 1 }
        return start
    }

    /// Decodes the scalar at `index` and moves `index` past it.
    ///
    /// - Precondition: `text` is valid UTF-8, as a `String`'s bytes always are.
    @inline(__always)
    static func next(in text: UnsafeBufferPointer<UInt8>, at index: inout Int) -> UInt32 {
        let first = UInt32(text[index])
        let length = length(text[index])
        // Only foreign bytes could end early; never read past the buffer.
        guard index + length <= text.count else {
            index = text.count
            return 0xFFFD
        }
        var scalar = length == 1 ? first : first & (0x7F >> UInt32(length))
        for offset in 1..<max(length, 1) {
            scalar = scalar << 6 | UInt32(text[index + offset] & 0x3F)
        }
        index += length
        return scalar
    }
}
