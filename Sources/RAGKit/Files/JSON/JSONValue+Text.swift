public import Foundation

extension JSONValue {
    /// The deviation of a text that is allowed from the JSON standard.
    public enum Dialect: Sendable {
        /// The dialect of Python's `json` module: `NaN` and `Infinity`; of a repeated key
        /// the last value; half a surrogate pair becomes U+FFFD.
        case python
        /// RFC 8259, and each key once in its object.
        case strict
    }

    /// Reads a JSON text.
    ///
    /// - Parameter file: The name used in errors.
    /// - Throws: ``JSONError/syntax(file:line:column:reason:)``, also for more than 128 brackets
    ///   inside each other and for anything after the value.
    public init(
        parsing bytes: UnsafeRawBufferPointer, file: String, dialect: Dialect = .python
    ) throws {
        var parser = JSONValueParser(scanner: JSONScanner(bytes), dialect: dialect)
        do {
            self = try parser.document()
        } catch let failure as JSONScanner.Failure {
            let before = bytes[..<failure.offset]
            let lineStart = before.lastIndex(of: UInt8(ascii: "\n")).map { $0 + 1 } ?? 0
            throw JSONError.syntax(
                file: file, line: 1 + before.count { $0 == UInt8(ascii: "\n") },
                column: 1 + failure.offset - lineStart, reason: failure.reason)
        }
    }

    /// Reads a JSON text.
    public init(
        parsing text: String, file: String = "JSON text", dialect: Dialect = .python
    ) throws {
        var text = text
        self = try text.withUTF8 {
            try JSONValue(parsing: UnsafeRawBufferPointer($0), file: file, dialect: dialect)
        }
    }

    /// Reads a JSON file.
    ///
    /// - Throws: ``JSONError`` naming file, line and column;
    ///   ``FileError/missing(path:advice:)`` or another ``FileError``.
    public init(contentsOf url: URL, dialect: Dialect = .python) throws {
        let file: MappedFile
        do {
            file = try MappedFile(contentsOf: url)
        } catch let error as FileError where error.isMissing {
            throw FileError.missing(path: url.path, advice: "check the path")
        }
        self = try withExtendedLifetime(file) {
            try JSONValue(parsing: file.bytes, file: url.path, dialect: dialect)
        }
    }

    /// Reads a JSON file that may be left out: `nil` where there is none.
    ///
    /// - Throws: as `init(contentsOf:)`.
    init?(ifPresent url: URL) throws {
        guard FileManager.default.fileExists(atPath: url.path) else { return nil }
        try self.init(contentsOf: url)
    }

    /// Writes the value as a file, atomically, with two spaces of indentation and a final newline.
    public func write(to url: URL) throws {
        try AtomicFile.write(text() + "\n", to: url)
    }

    /// The value as JSON text, keys in their order, NaN and infinities as `null`.
    ///
    /// - Parameter indent: Spaces per level; nil for one line.
    public func text(indent: Int? = 2) -> String {
        var text = ""
        append(to: &text, indent: indent, level: 0)
        return text
    }

    /// A text as a JSON string with its quotes.
    static func quoted(_ text: String) -> String {
        var quoted = "\""
        for scalar in text.unicodeScalars {
            switch scalar {
            case "\"": quoted += "\\\""
            case "\\": quoted += "\\\\"
            case "\n": quoted += "\\n"
            case "\r": quoted += "\\r"
            case "\t": quoted += "\\t"
            case "\0"..<" ":
                let digits = String(scalar.value, radix: 16)
                quoted += "\\u" + String(repeating: "0", count: 4 - digits.count) + digits
            default: quoted.unicodeScalars.append(scalar)
            }
        }
        return quoted + "\""
    }

    private func append(to text: inout String, indent: Int?, level: Int) {
        switch self {
        case .null: text += "null"
        case .bool(let value): text += value ? "true" : "false"
        case .int(let value): text += String(value)
        case .double(let value): text += value.isFinite ? value.description : "null"
        case .string(let value): text += JSONValue.quoted(value)
        case .array(let elements):
            JSONValue.append(elements, "[", "]", to: &text, indent, level) { element, text in
                element.append(to: &text, indent: indent, level: level + 1)
            }
        case .object(let object):
            JSONValue.append(Array(object), "{", "}", to: &text, indent, level) { member, text in
                text += JSONValue.quoted(member.key) + ": "
                member.value.append(to: &text, indent: indent, level: level + 1)
            }
        }
    }

    private static func append<Part>(
        _ parts: [Part], _ open: String, _ close: String, to text: inout String,
        _ indent: Int?, _ level: Int, _ appendPart: (Part, inout String) -> Void
    ) {
        func newLine(_ level: Int) -> String {
            indent.map { "\n" + String(repeating: " ", count: $0 * level) } ?? ""
        }
        text += open
        for (index, part) in parts.enumerated() {
            if index > 0 { text += indent == nil ? ", " : "," }
            text += newLine(level + 1)
            appendPart(part, &text)
        }
        if !parts.isEmpty { text += newLine(level) }
        text += close
    }
}

/// Builds values from the pieces that the scanner reads.
private struct JSONValueParser {
    var scanner: JSONScanner
    let dialect: JSONValue.Dialect

    mutating func document() throws -> JSONValue {
        // Some editors put a byte order mark in front.
        let bytes = scanner.bytes
        if bytes.starts(with: [0xEF, 0xBB, 0xBF]) {
            throw scanner.failure("the file begins with a byte order mark: save it without")
        }
        let value = try value(depth: 0)
        try scanner.expectEnd()
        return value
    }

    private mutating func value(depth: Int) throws -> JSONValue {
        guard depth <= JSONScanner.maximumDepth else {
            throw scanner.failure("more than \(JSONScanner.maximumDepth) brackets in each other")
        }
        switch scanner.peek() {
        case UInt8(ascii: "{"): return try object(depth: depth)
        case UInt8(ascii: "["): return try array(depth: depth)
        case UInt8(ascii: "\""):
            return .string(try scanner.string(repairing: dialect == .python))
        case UInt8(ascii: "t") where scanner.skip(word: "true"): return .bool(true)
        case UInt8(ascii: "f") where scanner.skip(word: "false"): return .bool(false)
        case UInt8(ascii: "n") where scanner.skip(word: "null"): return .null
        default: break
        }
        if dialect == .python {
            if scanner.skip(word: "NaN") { return .double(.nan) }
            if scanner.skip(word: "Infinity") { return .double(.infinity) }
            if scanner.skip(word: "-Infinity") { return .double(-.infinity) }
        }
        guard let byte = scanner.peek(), byte == UInt8(ascii: "-") || (0x30...0x39) ~= byte else {
            throw scanner.failure("expected a value, found \(scanner.found)")
        }
        switch try scanner.number() {
        case .integer(let value): return .int(value)
        case .real(let value): return .double(value)
        }
    }

    private mutating func array(depth: Int) throws -> JSONValue {
        var elements: [JSONValue] = []
        try scanner.expect("[")
        if scanner.skip("]") { return .array([]) }
        repeat { elements.append(try value(depth: depth + 1)) } while scanner.skip(",")
        try scanner.expect("]")
        return .array(elements)
    }

    private mutating func object(depth: Int) throws -> JSONValue {
        var object = JSONObject()
        try scanner.expect("{")
        if scanner.skip("}") { return .object(object) }
        repeat {
            _ = scanner.peek()
            let start = scanner.offset
            let key = try scanner.string(repairing: dialect == .python)
            try scanner.expect(":")
            let value = try value(depth: depth + 1)
            if dialect == .strict && object[key] != nil {
                throw scanner.failure("key '\(key)' is there twice", at: start)
            }
            object[key] = value
        } while scanner.skip(",")
        try scanner.expect("}")
        return .object(object)
    }
}

extension JSONValue: Codable {
    public init(from decoder: any Decoder) throws {
        if let keyed = try? decoder.container(keyedBy: AnyKey.self) {
            var object = JSONObject()
            for key in keyed.allKeys {
                object[key.stringValue] = try keyed.decode(JSONValue.self, forKey: key)
            }
            self = .object(object)
        } else if var elements = try? decoder.unkeyedContainer() {
            var values: [JSONValue] = []
            while !elements.isAtEnd { values.append(try elements.decode(JSONValue.self)) }
            self = .array(values)
        } else {
            let single = try decoder.singleValueContainer()
            if single.decodeNil() {
                self = .null
            } else if let value = try? single.decode(Bool.self) {
                self = .bool(value)
            } else if let value = try? single.decode(Int.self) {
                self = .int(value)
            } else if let value = try? single.decode(Double.self) {
                self = .double(value)
            } else {
                self = .string(try single.decode(String.self))
            }
        }
    }

    public func encode(to encoder: any Encoder) throws {
        switch self {
        case .object(let object):
            var keyed = encoder.container(keyedBy: AnyKey.self)
            for (key, value) in object { try keyed.encode(value, forKey: AnyKey(key)) }
        case .array(let elements):
            var unkeyed = encoder.unkeyedContainer()
            for element in elements { try unkeyed.encode(element) }
        default:
            var single = encoder.singleValueContainer()
            switch self {
            case .bool(let value): try single.encode(value)
            case .int(let value): try single.encode(value)
            case .double(let value) where value.isFinite: try single.encode(value)
            case .string(let value): try single.encode(value)
            default: try single.encodeNil()
            }
        }
    }

    private struct AnyKey: CodingKey {
        let stringValue: String
        var intValue: Int? { nil }
        init(_ text: String) { stringValue = text }
        init?(stringValue: String) { self.init(stringValue) }
        init?(intValue: Int) { nil }
    }
}
