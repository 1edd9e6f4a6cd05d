import Foundation

/// A reader and writer for `vocab.json`: one flat object from token to id.
///
/// A parser of its own because errors must name the line, a repeated token must not pass unseen,
/// and a vocabulary of 50,000 entries should load in milliseconds.
struct VocabularyJSON {
    struct Entry: Equatable {
        var token: String
        var id: Int32
        var line: Int
    }

    private let file: String
    private let bytes: [UInt8]
    private var index = 0
    private var line = 1

    /// - Returns: The entries in the order of the file; tokens and ids each without repetition.
    static func entries(of url: URL) throws -> [Entry] {
        var parser = VocabularyJSON(file: url.path, bytes: try VocabularyFiles.read(url))
        return try parser.parse()
    }

    private init(file: String, bytes: [UInt8]) {
        self.file = file
        self.bytes = bytes
    }

    private mutating func parse() throws -> [Entry] {
        try expect(UInt8(ascii: "{"), "an object from token to id")
        var entries: [Entry] = []
        skipSpace()
        if peek == UInt8(ascii: "}") {
            throw malformed("the vocabulary is empty")
        }
        while true {
            skipSpace()
            let start = line
            let token = try string()
            try expect(UInt8(ascii: ":"), "':' after the token '\(token)'")
            entries.append(Entry(token: token, id: try number(token), line: start))
            skipSpace()
            if peek == UInt8(ascii: ",") {
                index += 1
            } else {
                try expect(UInt8(ascii: "}"), "',' or '}' after an entry")
                break
            }
        }
        skipSpace()
        if let peek { throw malformed("expected the end of the file, found \(shown(peek))") }
        try checkUnique(entries)
        return entries
    }

    private func checkUnique(_ entries: [Entry]) throws {
        var tokens = ByteStringTable(capacity: entries.count)
        var holders = [Int32](repeating: -1, count: Int(entries.map(\.id).max() ?? 0) + 1)
        for (index, entry) in entries.enumerated() {
            let twin = tokens.insert(entry.token, id: Int32(index))
            if twin >= 0 {
                throw TokenizerError.malformed(
                    file: file, line: entry.line,
                    reason: "the token '\(entry.token)' is already on line "
                        + "\(entries[Int(twin)].line)")
            }
            let holder = holders[Int(entry.id)]
            if holder >= 0 {
                throw TokenizerError.malformed(
                    file: file, line: entry.line,
                    reason: "the id \(entry.id) of '\(entry.token)' already belongs to "
                        + "'\(entries[Int(holder)].token)'")
            }
            holders[Int(entry.id)] = Int32(index)
        }
    }

    private var peek: UInt8? { index < bytes.count ? bytes[index] : nil }

    private func malformed(_ reason: String) -> TokenizerError {
        .malformed(file: file, line: line, reason: reason)
    }

    private func shown(_ byte: UInt8?) -> String {
        guard let byte else { return "the end of the file" }
        return (0x21..<0x7F).contains(byte)
            ? "'\(Character(Unicode.Scalar(byte)))'" : "byte \(byte)"
    }

    private mutating func skipSpace() {
        while let byte = peek, byte == 0x20 || byte == 0x0A || byte == 0x0D || byte == 0x09 {
            if byte == 0x0A { line += 1 }
            index += 1
        }
    }

    private mutating func expect(_ byte: UInt8, _ what: String) throws {
        skipSpace()
        guard peek == byte else { throw malformed("expected \(what), found \(shown(peek))") }
        index += 1
    }

    private mutating func number(_ token: String) throws -> Int32 {
        skipSpace()
        let start = index
        var value = 0
        while let byte = peek, (0x30...0x39).contains(byte), value <= VocabularyFiles.highestID {
            value = value * 10 + Int(byte - 0x30)
            index += 1
        }
        guard index > start, value <= VocabularyFiles.highestID else {
            throw malformed(
                "the id of '\(token)' must be a whole number from 0 to "
                    + "\(VocabularyFiles.highestID)")
        }
        return Int32(value)
    }

    private mutating func string() throws -> String {
        try expect(UInt8(ascii: "\""), "a token in quotes")
        var result: [UInt8] = []
        while let byte = peek {
            index += 1
            switch byte {
            case UInt8(ascii: "\""):
                let text = String(decoding: result, as: UTF8.self)
                guard text.utf8.elementsEqual(result) else {
                    throw malformed("this token is not UTF-8 text")
                }
                return text
            case UInt8(ascii: "\\"): result += try escape()
            case 0..<0x20: throw malformed("a control character stands in a token unescaped")
            default: result.append(byte)
            }
        }
        throw malformed("the file ends inside a token")
    }

    private mutating func escape() throws -> [UInt8] {
        let kind = peek
        index += 1
        switch kind {
        case UInt8(ascii: "n"): return [0x0A]
        case UInt8(ascii: "t"): return [0x09]
        case UInt8(ascii: "r"): return [0x0D]
        case UInt8(ascii: "b"): return [0x08]
        case UInt8(ascii: "f"): return [0x0C]
        case UInt8(ascii: "\""): return [0x22]
        case UInt8(ascii: "\\"): return [0x5C]
        case UInt8(ascii: "/"): return [0x2F]
        case UInt8(ascii: "u"): return try unicodeEscape()
        default: throw malformed("unknown escape: a backslash before \(shown(kind))")
        }
    }

    private mutating func unicodeEscape() throws -> [UInt8] {
        var value = try fourHexDigits()
        if 0xD800..<0xDC00 ~= value, index + 1 < bytes.count, bytes[index] == UInt8(ascii: "\\"),
            bytes[index + 1] == UInt8(ascii: "u")
        {
            index += 2
            let low = try fourHexDigits()
            guard 0xDC00..<0xE000 ~= low else { throw malformed("half a surrogate pair") }
            value = 0x10000 + (value - 0xD800) << 10 + (low - 0xDC00)
        }
        guard let scalar = Unicode.Scalar(value) else { throw malformed("half a surrogate pair") }
        return Array(String(scalar).utf8)
    }

    private mutating func fourHexDigits() throws -> UInt32 {
        guard index + 4 <= bytes.count else { throw malformed("the file ends inside a token") }
        var value: UInt32 = 0
        for byte in bytes[index..<index + 4] {
            guard let digit = Character(Unicode.Scalar(byte)).hexDigitValue else {
                throw malformed("\\u needs four hexadecimal digits")
            }
            value = value << 4 | UInt32(digit)
        }
        index += 4
        return value
    }

    /// The object in the order given, on one line.
    static func text(_ entries: [(token: String, id: Int32)]) -> String {
        var text = "{"
        for (index, entry) in entries.enumerated() {
            text += index == 0 ? "\"" : ", \""
            for scalar in entry.token.unicodeScalars {
                switch scalar {
                case "\"": text += "\\\""
                case "\\": text += "\\\\"
                case "\u{0}"..<" ":
                    let digits = String(scalar.value, radix: 16)
                    text += "\\u" + String(repeating: "0", count: 4 - digits.count) + digits
                default: text.unicodeScalars.append(scalar)
                }
            }
            text += "\": \(entry.id)"
        }
        return text + "}\n"
    }
}
