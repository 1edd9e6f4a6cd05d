import Foundation

/// Rows whose fields may stand in quotation marks, by one of two sets of rules.
struct QuotedRows: TableRows {
    enum Dialect {
        /// Strict: nothing may follow a closing quote, quotes may not stand inside a plain field,
        /// lines end with `\n` or `\r\n`.
        case rfc4180
        /// The default of pandas' C parser: what follows a closing quote belongs to the
        /// field, quotes inside a plain field are plain, a lone `\r` ends a line, lines of spaces
        /// are blank.
        case pandas
    }

    var columnCount: Int?
    private(set) var blankLines = 0
    private let bytes: UnsafeRawBufferPointer
    private let separator: UInt8
    private let dialect: Dialect
    private var position: Int
    private var line = 1
    private var field: [UInt8] = []

    init(_ bytes: UnsafeRawBufferPointer, separator: Unicode.Scalar, dialect: Dialect) {
        self.bytes = bytes
        self.separator = UInt8(ascii: separator)
        self.dialect = dialect
        position = bytes.starts(with: [0xEF, 0xBB, 0xBF]) ? 3 : 0
    }

    mutating func next() throws -> TableRow? {
        skipBlankLines()
        guard position < bytes.count else { return nil }
        let start = position
        let firstLine = line
        do {
            var fields: [String] = []
            repeat { fields.append(try nextField()) } while skip(separator)
            skipLineEnd()
            return TableRow(fields: fields, line: firstLine, start: start)
        } catch let fault as RowFault {
            // Go on behind the first line of the bad row: a quote that is not closed must not
            // swallow the rest of the file.
            (position, line) = (start, firstLine)
            while position < bytes.count, !isLineEnd { position += 1 }
            skipLineEnd()
            throw fault
        }
    }

    private var byte: UInt8? { position < bytes.count ? bytes[position] : nil }

    private var isLineEnd: Bool {
        switch byte {
        case 0x0A: true
        case 0x0D: dialect == .pandas || (position + 1 < bytes.count && bytes[position + 1] == 0x0A)
        default: false
        }
    }

    private mutating func skip(_ mark: UInt8) -> Bool {
        guard byte == mark else { return false }
        position += 1
        return true
    }

    /// Steps over one line end if there is one.
    private mutating func skipLineEnd() {
        guard isLineEnd else { return }
        if skip(0x0D) { _ = skip(0x0A) } else { position += 1 }
        line += 1
    }

    private mutating func skipBlankLines() {
        while position < bytes.count {
            let start = position
            if dialect == .pandas { while skip(0x20) {} }
            guard isLineEnd || (position == bytes.count && position > start) else {
                position = start
                return
            }
            skipLineEnd()
            blankLines += 1
        }
    }

    private mutating func nextField() throws -> String {
        let start = position
        let firstLine = line
        field.removeAll(keepingCapacity: true)
        let isQuoted = byte == UInt8(ascii: "\"")
        if isQuoted { try readQuoted() }
        if !isQuoted || dialect == .pandas { try readPlain() }
        guard let text = String(validating: field, as: UTF8.self) else {
            // Quotes left out do not matter here: they are valid, and the fault stays the first.
            let part = UnsafeRawBufferPointer(rebasing: bytes[start..<position])
            throw RowFault(
                line: firstLine, byte: start + UTF8Check.validPrefix(part),
                reason: "invalid UTF-8; convert the file to UTF-8")
        }
        return text
    }

    /// Reads from an opening quote to behind the closing one.
    private mutating func readQuoted() throws {
        let start = position
        let firstLine = line
        position += 1
        while let base = bytes.baseAddress,
            let quote = memchr(base + position, 0x22, bytes.count - position)
        {
            let end = UnsafeRawPointer(quote) - base
            let part = bytes[position..<end]
            line += part.count { $0 == 0x0A }
            field.append(contentsOf: part)
            position = end + 1
            if skip(UInt8(ascii: "\"")) {
                field.append(UInt8(ascii: "\""))
                continue
            }
            guard dialect == .pandas || byte == nil || byte == separator || isLineEnd else {
                throw RowFault(
                    line: line, byte: position,
                    reason: "text after a closing quote; write a quote inside quotes twice")
            }
            return
        }
        throw RowFault(line: firstLine, byte: start, reason: "a quote that is never closed")
    }

    /// Reads up to the next separator or line end.
    private mutating func readPlain() throws {
        let start = position
        while position < bytes.count {
            let byte = bytes[position]
            if byte == separator { break }
            if byte == 0x0A || byte == 0x0D || byte == UInt8(ascii: "\"") {
                if isLineEnd { break }
                if dialect == .rfc4180 {
                    throw RowFault(
                        line: line, byte: position,
                        reason: byte == 0x0D
                            ? "a carriage return inside the row; end lines with \\n or \\r\\n"
                            : "a quote inside a plain field; quote the whole field")
                }
            }
            position += 1
        }
        field.append(contentsOf: bytes[start..<position])
    }
}
