import Foundation

/// The fault of a row; the source goes on with the next one.
struct RowFault: Error {
    var line: Int
    var byte: Int
    var reason: String
    /// True if the row was handed out before the fault was found.
    var isRowCounted = false
}

/// Hands out the rows of a file; blank lines are counted and skipped.
protocol RowSource {
    associatedtype Row
    var blankLines: Int { get }
    /// - Throws: ``RowFault``.
    mutating func next() throws -> Row?
}

/// The rows of a file with columns.
protocol TableRows: RowSource {
    /// The number of columns of a row; nil as long as it is not known.
    var columnCount: Int? { get set }
}

struct TableRow {
    var fields: [String]
    /// Counts from 1.
    var line: Int
    /// The first byte of the row in the file.
    var start: Int
}

/// The lines of a file, without line ends, byte order mark and blank lines.
struct LineScanner {
    let bytes: UnsafeRawBufferPointer
    /// The first byte of the next line.
    private(set) var position: Int
    /// The number of the line read last.
    private(set) var line = 0
    private(set) var blankLines = 0

    init(_ bytes: UnsafeRawBufferPointer) {
        self.bytes = bytes
        position = bytes.starts(with: [0xEF, 0xBB, 0xBF]) ? 3 : 0
    }

    mutating func next() -> Range<Int>? {
        while position < bytes.count, let base = bytes.baseAddress {
            let start = position
            let newline = memchr(base + start, 0x0A, bytes.count - start)
            var end = bytes.count
            if let newline { end = UnsafeRawPointer(newline) - base }
            position = min(end + 1, bytes.count)
            line += 1
            if end > start, bytes[end - 1] == 0x0D { end -= 1 }
            if end > start { return start..<end }
            blankLines += 1
        }
        return nil
    }

    /// The text of a part of the current line.
    func text(_ range: Range<Int>) throws -> String {
        let part = UnsafeRawBufferPointer(rebasing: bytes[range])
        if let text = String(validating: part, as: UTF8.self) { return text }
        let byte = range.lowerBound + UTF8Check.validPrefix(part)
        throw RowFault(line: line, byte: byte, reason: "invalid UTF-8; convert the file to UTF-8")
    }
}

enum UTF8Check {
    /// The number of valid bytes from the start.
    static func validPrefix(_ bytes: UnsafeRawBufferPointer) -> Int {
        var parser = Unicode.UTF8.ForwardParser()
        var iterator = bytes.makeIterator()
        var count = 0
        while case .valid(let scalar) = parser.parseScalar(from: &iterator) {
            count += scalar.count
        }
        return count
    }
}

/// Lines cut at tabs: at the first ones if the number of columns is known, else at all.
struct TabRows: TableRows {
    private var lines: LineScanner
    var columnCount: Int?

    init(_ bytes: UnsafeRawBufferPointer) { lines = LineScanner(bytes) }

    var blankLines: Int { lines.blankLines }

    mutating func next() throws -> TableRow? {
        guard let line = lines.next() else { return nil }
        let bytes = lines.bytes
        func find(_ byte: Int32, from start: Int) -> Int? {
            guard let base = bytes.baseAddress else { return nil }
            let found = memchr(base + start, byte, line.upperBound - start)
            return found.map { UnsafeRawPointer($0) - base }
        }
        if let lone = find(0x0D, from: line.lowerBound) {
            throw RowFault(
                line: lines.line, byte: lone,
                reason: "a carriage return inside the row; end lines with \\n or \\r\\n")
        }
        var fields: [String] = []
        var start = line.lowerBound
        while fields.count + 1 < columnCount ?? .max, let tab = find(0x09, from: start) {
            fields.append(try lines.text(start..<tab))
            start = tab + 1
        }
        fields.append(try lines.text(start..<line.upperBound))
        return TableRow(fields: fields, line: lines.line, start: line.lowerBound)
    }
}

/// Lines that each hold a JSON object.
struct JSONRows: RowSource {
    private var lines: LineScanner
    private let file: String

    /// - Parameter file: The file's name, from which documents without id get theirs.
    init(_ bytes: UnsafeRawBufferPointer, file: String) {
        lines = LineScanner(bytes)
        self.file = file
    }

    var blankLines: Int { lines.blankLines }

    mutating func next() throws -> SourceDocument? {
        guard let line = lines.next() else { return nil }
        var scanner = JSONScanner(UnsafeRawBufferPointer(rebasing: lines.bytes[line]))
        do {
            return try document(&scanner)
        } catch let failure as JSONScanner.Failure {
            throw RowFault(
                line: lines.line, byte: line.lowerBound + failure.offset, reason: failure.reason)
        }
    }

    private func document(_ scanner: inout JSONScanner) throws -> SourceDocument {
        var id: String?
        var title: String?
        var text: String?
        try scanner.object { scanner, key, offset in
            let isRepeated: Bool
            switch key {
            case "id":
                isRepeated = id != nil
                let isText = scanner.peek() == UInt8(ascii: "\"")
                id = isText ? try scanner.string() : String(try scanner.integer())
            case "title":
                isRepeated = title != nil
                title = scanner.skip(word: "null") ? "" : try scanner.string()
            case "text":
                isRepeated = text != nil
                text = try scanner.string()
            default:
                isRepeated = false
                try scanner.skipValue()
            }
            if isRepeated { throw scanner.failure("'\(key)' is there twice", at: offset) }
        }
        try scanner.expectEnd()
        guard let text else { throw scanner.failure("the object has no 'text'", at: 0) }
        return SourceDocument(id: id ?? "\(file):\(lines.line)", title: title ?? "", text: text)
    }
}
