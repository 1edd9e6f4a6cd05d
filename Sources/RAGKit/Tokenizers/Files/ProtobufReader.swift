/// Reads the wire format of Protocol Buffers, field by field.
///
/// Every length is checked against the bytes that are left, and a number takes at most ten bytes.
/// Groups, an obsolete form, are refused. Every step moves forward, so damaged files cost no more
/// than their length.
struct ProtobufReader {
    /// An error in a file; `offset` counts bytes from its start.
    struct Failure: Error {
        var offset: Int
        var reason: String
    }

    enum Value {
        case varint(UInt64)
        case fixed64(UInt64)
        /// The range of the bytes in the file.
        case bytes(Range<Int>)
        case fixed32(UInt32)
    }

    private let file: [UInt8]
    private var offset: Int
    private let end: Int

    init(_ file: [UInt8]) { self.init(file, in: 0..<file.count) }

    /// Reads a message inside another one.
    init(_ file: [UInt8], in range: Range<Int>) {
        self.file = file
        offset = range.lowerBound
        end = range.upperBound
    }

    /// Calls `body` with the number, value and offset of each field, in order.
    mutating func forEachField(_ body: (Int, Value, _ offset: Int) throws -> Void) throws {
        while offset < end {
            let start = offset
            let key = try varint()
            let number = key >> 3
            guard number >= 1, number < 1 << 29 else {
                throw Failure(offset: start, reason: "no field has the number \(number)")
            }
            let value: Value
            switch key & 7 {
            case 0: value = .varint(try varint())
            case 1: value = .fixed64(try fixed(8))
            case 2:
                let length = try varint()
                guard length <= UInt64(end - offset) else {
                    throw Failure(
                        offset: start,
                        reason: "field \(number) is to have \(length) bytes, but \(end - offset) "
                            + "are left")
                }
                value = .bytes(offset..<offset + Int(length))
                offset += Int(length)
            case 5: value = .fixed32(UInt32(truncatingIfNeeded: try fixed(4)))
            case let type:
                throw Failure(offset: start, reason: "field \(number) has the wire type \(type)")
            }
            try body(Int(number), value, start)
        }
    }

    private mutating func varint() throws -> UInt64 {
        let start = offset
        var value: UInt64 = 0
        for position in 0..<10 {
            guard offset < end else {
                throw Failure(offset: start, reason: "the file ends inside a number")
            }
            let byte = UInt64(file[offset])
            offset += 1
            guard position < 9 || byte <= 1 else { break }
            value |= (byte & 0x7F) << UInt64(7 * position)
            if byte < 0x80 { return value }
        }
        throw Failure(offset: start, reason: "a number is longer than 64 bits")
    }

    private mutating func fixed(_ count: Int) throws -> UInt64 {
        guard end - offset >= count else {
            throw Failure(offset: offset, reason: "the file ends inside a number")
        }
        let value = (0..<count).reduce(UInt64(0)) {
            $0 | UInt64(file[offset + $1]) << UInt64(8 * $1)
        }
        offset += count
        return value
    }
}
