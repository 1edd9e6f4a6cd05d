/// Reads JSON text piece by piece: the caller says what must come next.
///
/// Strict after RFC 8259: no comments, no trailing commas, no control characters in strings, valid
/// UTF-8, paired surrogates. Nothing is built that the caller does not ask for, and every step
/// moves forward, so hostile text costs no more than its length.
///
/// The bytes must outlive the scanner.
struct JSONScanner {
    /// The fault; `offset` counts bytes from the start of the text.
    struct Failure: Error {
        var offset: Int
        var reason: String
    }

    /// Brackets inside brackets, at most.
    static let maximumDepth = 128

    let bytes: UnsafeRawBufferPointer
    private(set) var offset = 0

    init(_ bytes: UnsafeRawBufferPointer) { self.bytes = bytes }

    func failure(_ reason: String, at place: Int? = nil) -> Failure {
        Failure(offset: place ?? offset, reason: reason)
    }

    var isAtEnd: Bool { offset == bytes.count }

    /// The next byte that is not white space, or nil at the end.
    @inline(__always)
    mutating func peek() -> UInt8? {
        while offset < bytes.count {
            let byte = bytes[offset]
            guard byte == 0x20 || byte == 0x0A || byte == 0x0D || byte == 0x09 else { return byte }
            offset += 1
        }
        return nil
    }

    /// Steps over a punctuation mark if it comes next.
    @inline(__always)
    mutating func skip(_ mark: Unicode.Scalar) -> Bool {
        guard peek() == UInt8(ascii: mark) else { return false }
        offset += 1
        return true
    }

    @inline(__always)
    mutating func expect(_ mark: Unicode.Scalar) throws {
        guard skip(mark) else { throw failure("expected '\(mark)', found \(found)") }
    }

    /// Fails unless only white space is left.
    mutating func expectEnd() throws {
        guard peek() == nil else { throw failure("expected the end, found \(found)") }
    }

    /// Steps over `word` if it comes next, letter for letter.
    mutating func skip(word: StaticString) -> Bool {
        guard peek() != nil, bytes.count - offset >= word.utf8CodeUnitCount else { return false }
        for index in 0..<word.utf8CodeUnitCount
        where bytes[offset + index] != word.utf8Start[index] {
            return false
        }
        offset += word.utf8CodeUnitCount
        return true
    }

    /// The next byte in words.
    var found: String {
        guard offset < bytes.count else { return "the end of the text" }
        let byte = bytes[offset]
        if byte > 0x20 && byte < 0x7F { return "'\(Unicode.Scalar(byte))'" }
        return "byte 0x\(String(byte, radix: 16))"
    }

    /// Reads the members of an object; `member` gets the key and its offset and reads the value.
    mutating func object(
        _ member: (inout JSONScanner, _ key: String, _ offset: Int) throws -> Void
    ) throws {
        try expect("{")
        if skip("}") { return }
        repeat {
            _ = peek()
            let start = offset
            let key = try string()
            try expect(":")
            try member(&self, key, start)
        } while skip(",")
        try expect("}")
    }

    /// Reads the elements of an array; `element` reads one.
    mutating func array(_ element: (inout JSONScanner) throws -> Void) throws {
        try expect("[")
        if skip("]") { return }
        repeat { try element(&self) } while skip(",")
        try expect("]")
    }

    /// Reads a number without fraction and exponent that fits an `Int`.
    mutating func integer() throws -> Int {
        guard let byte = peek(), byte == UInt8(ascii: "-") || isDigit(byte) else {
            throw failure("expected a whole number, found \(found)")
        }
        let start = offset
        let token = try number()
        guard case .integer(let value) = token else {
            throw failure("expected a whole number below 2^63", at: start)
        }
        return value
    }

    enum Number {
        case integer(Int)
        case real(Double)
    }

    /// Reads a number; a whole number too large for `Int` comes as the nearest `Double`.
    mutating func number() throws -> Number {
        _ = peek()
        let start = offset
        var isWhole = true
        if offset < bytes.count, bytes[offset] == UInt8(ascii: "-") { offset += 1 }
        let first = offset
        skipDigits()
        guard offset > first else { throw failure("expected a digit, found \(found)") }
        if bytes[first] == UInt8(ascii: "0") && offset > first + 1 {
            throw failure("a number must not begin with 0", at: first)
        }
        if offset < bytes.count, bytes[offset] == UInt8(ascii: ".") {
            isWhole = false
            offset += 1
            let fraction = offset
            skipDigits()
            guard offset > fraction else { throw failure("expected a digit, found \(found)") }
        }
        if offset < bytes.count, bytes[offset] | 0x20 == UInt8(ascii: "e") {
            isWhole = false
            offset += 1
            let signs = [UInt8(ascii: "+"), UInt8(ascii: "-")]
            if offset < bytes.count, signs.contains(bytes[offset]) { offset += 1 }
            let exponent = offset
            skipDigits()
            guard offset > exponent else { throw failure("expected a digit, found \(found)") }
        }
        if isWhole, let value = wholeNumber(from: first, isNegative: first > start) {
            return .integer(value)
        }
        let text = String(decoding: bytes[start..<offset], as: UTF8.self)
        guard let value = Double(text), value.isFinite else {
            throw failure("the number is too large", at: start)
        }
        return .real(value)
    }

    private func wholeNumber(from first: Int, isNegative: Bool) -> Int? {
        var value = 0
        for index in first..<offset {
            let digit = Int(bytes[index] - UInt8(ascii: "0"))
            let (shifted, overflow) = value.multipliedReportingOverflow(by: 10)
            let (sum, carry) =
                isNegative
                ? shifted.subtractingReportingOverflow(digit)
                : shifted.addingReportingOverflow(digit)
            if overflow || carry { return nil }
            value = sum
        }
        return value
    }

    private func isDigit(_ byte: UInt8) -> Bool { byte >= 0x30 && byte <= 0x39 }

    private mutating func skipDigits() {
        while offset < bytes.count, isDigit(bytes[offset]) { offset += 1 }
    }

    /// Steps over one value of any kind.
    mutating func skipValue(depth: Int = 0) throws {
        guard depth < JSONScanner.maximumDepth else {
            throw failure("more than \(JSONScanner.maximumDepth) brackets inside each other")
        }
        switch peek() {
        case UInt8(ascii: "{"):
            try object { scanner, _, _ in try scanner.skipValue(depth: depth + 1) }
        case UInt8(ascii: "["): try array { scanner in try scanner.skipValue(depth: depth + 1) }
        case UInt8(ascii: "\""): _ = try string()
        default:
            if skip(word: "null") || skip(word: "true") || skip(word: "false") { return }
            _ = try number()
        }
    }
}

// MARK: - Strings

extension JSONScanner {
    /// Reads a string.
    ///
    /// - Parameter repairing: If true, half a surrogate pair becomes U+FFFD instead of an error.
    mutating func string(repairing: Bool = false) throws -> String {
        guard peek() == UInt8(ascii: "\"") else {
            throw failure("expected a string, found \(found)")
        }
        offset += 1
        let start = offset
        var isASCII = true
        while offset < bytes.count {
            let byte = bytes[offset]
            if byte == UInt8(ascii: "\"") {
                let text = try decode(start..<offset, isASCII: isASCII)
                offset += 1
                return text
            }
            if byte == UInt8(ascii: "\\") { break }
            guard byte >= 0x20 else { throw failure("control character in a string: \(found)") }
            if byte >= 0x80 { isASCII = false }
            offset += 1
        }
        return try stringWithEscapes(from: start, repairing: repairing)
    }

    private func decode(_ range: Range<Int>, isASCII: Bool) throws -> String {
        let part = UnsafeRawBufferPointer(rebasing: bytes[range])
        if isASCII { return String(decoding: part, as: UTF8.self) }
        guard let text = String(validating: part, as: UTF8.self) else {
            throw failure("a string is not valid UTF-8", at: range.lowerBound)
        }
        return text
    }

    /// Goes on at the first backslash of a string that began at `start`.
    private mutating func stringWithEscapes(from start: Int, repairing: Bool) throws -> String {
        var units = Array(bytes[start..<offset])
        while offset < bytes.count {
            let byte = bytes[offset]
            guard byte >= 0x20 else { throw failure("control character in a string: \(found)") }
            offset += 1
            switch byte {
            case UInt8(ascii: "\""):
                guard let text = String(validating: units, as: UTF8.self) else {
                    throw failure("a string is not valid UTF-8", at: start)
                }
                return text
            case UInt8(ascii: "\\"):
                let scalar = try escape(repairing: repairing)
                units.append(contentsOf: String(scalar).utf8)
            default:
                units.append(byte)
            }
        }
        throw failure("a string without end", at: start - 1)
    }

    /// Reads what follows a backslash.
    private mutating func escape(repairing: Bool) throws -> Unicode.Scalar {
        guard offset < bytes.count else { throw failure("a string without end") }
        offset += 1
        switch bytes[offset - 1] {
        case UInt8(ascii: "\""): return "\""
        case UInt8(ascii: "\\"): return "\\"
        case UInt8(ascii: "/"): return "/"
        case UInt8(ascii: "b"): return "\u{8}"
        case UInt8(ascii: "f"): return "\u{C}"
        case UInt8(ascii: "n"): return "\n"
        case UInt8(ascii: "r"): return "\r"
        case UInt8(ascii: "t"): return "\t"
        case UInt8(ascii: "u"): return try unicodeEscape(repairing: repairing)
        default: throw failure("an unknown escape in a string", at: offset - 1)
        }
    }

    private mutating func unicodeEscape(repairing: Bool) throws -> Unicode.Scalar {
        let start = offset - 2
        let first = try hexadecimal()
        if let scalar = Unicode.Scalar(first) { return scalar }
        let second = offset
        if first < 0xDC00, offset + 1 < bytes.count,
            bytes[offset] == UInt8(ascii: "\\"), bytes[offset + 1] == UInt8(ascii: "u")
        {
            offset += 2
            let low = try hexadecimal()
            if low >= 0xDC00, low < 0xE000,
                let scalar = Unicode.Scalar(0x10000 + (first - 0xD800) << 10 + (low - 0xDC00))
            {
                return scalar
            }
            offset = second  // the second escape stands for itself
        }
        guard repairing else { throw failure("half of a surrogate pair in a string", at: start) }
        return "\u{FFFD}"
    }

    private mutating func hexadecimal() throws -> UInt32 {
        guard bytes.count - offset >= 4 else { throw failure("four hexadecimal digits expected") }
        var value: UInt32 = 0
        for _ in 0..<4 {
            let digit: UInt8
            switch bytes[offset] {
            case 0x30...0x39: digit = bytes[offset] - 0x30
            case 0x41...0x46: digit = bytes[offset] - 0x41 + 10
            case 0x61...0x66: digit = bytes[offset] - 0x61 + 10
            default: throw failure("expected a hexadecimal digit, found \(found)")
            }
            value = value << 4 | UInt32(digit)
            offset += 1
        }
        return value
    }
}
