import Foundation

/// A reader and writer for `vocab.json`: one flat object from token to id.
///
/// Errors name the line, and a repeated token is one. Entries go straight from the scanner into an
/// array, so a vocabulary of 50,000 loads in milliseconds.
enum VocabularyJSON {
    struct Entry: Equatable {
        var token: String
        var id: Int32
        var line: Int
    }

    /// - Returns: The entries in the order of the file. No token and no id is repeated.
    static func entries(of url: URL) throws -> [Entry] {
        try entries(of: try TokenizerFiles.read(url), file: url.path)
    }

    static func entries(of bytes: [UInt8], file: String) throws -> [Entry] {
        try scanning(bytes, file: file) { scanner in
            let entries = try entries(&scanner, file: file)
            try scanner.expectEnd()
            return entries
        }
    }

    /// Runs `body` over a JSON text and turns its failure into an error with file and line.
    static func scanning<Result>(
        _ bytes: [UInt8], file: String, _ body: (inout JSONScanner) throws -> Result
    ) throws -> Result {
        try bytes.withUnsafeBytes { bytes in
            var scanner = JSONScanner(bytes)
            do {
                return try body(&scanner)
            } catch let failure as JSONScanner.Failure {
                throw TokenizerError.malformed(
                    file: file, line: 1 + newlines(in: bytes[..<failure.offset]),
                    reason: failure.reason)
            }
        }
    }

    private static func newlines(in bytes: Slice<UnsafeRawBufferPointer>) -> Int {
        bytes.count { $0 == 0x0A }
    }

    /// Reads the object that comes next.
    static func entries(_ scanner: inout JSONScanner, file: String) throws -> [Entry] {
        guard scanner.peek() == UInt8(ascii: "{") else {
            throw scanner.failure("expected an object from token to id, found \(scanner.found)")
        }
        var entries: [Entry] = []
        var line = 1 + newlines(in: scanner.bytes[..<scanner.offset])
        var counted = scanner.offset
        try scanner.object { scanner, token, offset in
            line += newlines(in: scanner.bytes[counted..<offset])
            counted = offset
            entries.append(Entry(token: token, id: try id(&scanner, of: token), line: line))
        }
        guard !entries.isEmpty else { throw scanner.failure("the vocabulary is empty") }
        try checkUnique(entries, file)
        return entries
    }

    private static func id(_ scanner: inout JSONScanner, of token: String) throws -> Int32 {
        _ = scanner.peek()
        let start = scanner.offset
        guard let value = try? scanner.integer(), 0...VocabularyFiles.highestID ~= value else {
            throw scanner.failure(
                "the id of '\(token)' must be a whole number from 0 to "
                    + "\(VocabularyFiles.highestID)", at: start)
        }
        return Int32(value)
    }

    private static func checkUnique(_ entries: [Entry], _ file: String) throws {
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

    /// The object in the order given, on one line.
    ///
    /// It is not put together as a `JSONObject`, whose keys are Swift strings: two tokens that
    /// Unicode holds to be equivalent would become one.
    static func text(_ entries: [(token: String, id: Int32)]) -> String {
        let members = entries.map { "\(JSONValue.quoted($0.token)): \($0.id)" }
        return "{" + members.joined(separator: ", ") + "}\n"
    }
}
