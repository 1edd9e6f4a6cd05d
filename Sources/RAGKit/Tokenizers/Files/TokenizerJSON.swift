import Foundation

/// The parts of a `tokenizer.json`, the description of a tokenizer by the `tokenizers` library.
///
/// Unknown parts, types and settings are errors that name them. `truncation` and `padding` are
/// ignored, since `transformers` uses them only if a call asks for it.
struct TokenizerJSON {
    struct Model {
        /// The settings besides the vocabulary and the merges.
        var settings = JSONObject()
        /// The vocabulary of WordPiece and BPE.
        var entries: [VocabularyJSON.Entry]?
        /// The vocabulary of Unigram.
        var pieces: [UnigramPiece]?
        var merges: [BytePairMerge]?
    }

    let file: String
    let bytes: [UInt8]
    private(set) var model = Model()
    private(set) var addedTokens: [AddedToken] = []
    private var parts: [String: JSONValue] = [:]

    /// - Throws: `TokenizerError` with file and line.
    init(_ bytes: [UInt8], file: String) throws {
        self.file = file
        self.bytes = bytes
        var hasModel = false
        try VocabularyJSON.scanning(bytes, file: file) { scanner in
            var seen: Set<String> = []
            try scanner.object { scanner, key, offset in
                guard seen.insert(key).inserted else {
                    throw scanner.failure("'\(key)' is there twice", at: offset)
                }
                switch key {
                case "model":
                    try readModel(&scanner)
                    hasModel = true
                case "version", "truncation", "padding", "added_tokens", "normalizer",
                    "pre_tokenizer", "post_processor", "decoder":
                    parts[key] = try Self.value(&scanner)
                default: throw scanner.failure("'\(key)' is not known", at: offset)
                }
            }
            try scanner.expectEnd()
        }
        guard hasModel else {
            throw TokenizerError.unsupported(file: file, reason: "it has no model")
        }
        if let version = parts["version"], version != "1.0" {
            throw TokenizerError.unsupported(
                file: file, reason: "its version is \(version.summary), only \"1.0\" is known")
        }
        try readAddedTokens()
    }

    /// The part with a name; `nil` if it is missing or null.
    func component(_ key: String) throws -> TokenizerComponent? {
        guard let value = parts[key], !value.isNull else { return nil }
        return try TokenizerComponent(value, path: key, file: file)
    }

    /// Reads any JSON value. A repeated key is an error.
    private static func value(_ scanner: inout JSONScanner) throws -> JSONValue {
        _ = scanner.peek()
        let start = scanner.offset
        try scanner.skipValue()
        let part = UnsafeRawBufferPointer(rebasing: scanner.bytes[start..<scanner.offset])
        do {
            return try JSONValue(parsing: part, file: "", dialect: .strict)
        } catch let JSONError.syntax(_, _, _, reason) {
            throw scanner.failure(reason, at: start)
        }
    }

    // MARK: - The model

    private mutating func readModel(_ scanner: inout JSONScanner) throws {
        let file = file
        var model = Model()
        try scanner.object { scanner, key, offset in
            let isNew: Bool
            switch key {
            case "vocab":
                isNew = model.entries == nil && model.pieces == nil
                if scanner.peek() == UInt8(ascii: "[") {
                    model.pieces = try Self.pieces(&scanner)
                } else {
                    model.entries = try VocabularyJSON.entries(&scanner, file: file)
                }
            case "merges":
                isNew = model.merges == nil
                model.merges = try Self.merges(&scanner)
            default:
                isNew = model.settings[key] == nil
                model.settings[key] = try Self.value(&scanner)
            }
            guard isNew else { throw scanner.failure("'\(key)' is there twice", at: offset) }
        }
        self.model = model
    }

    /// Reads the pieces of a Unigram model: pairs of text and score.
    private static func pieces(_ scanner: inout JSONScanner) throws -> [UnigramPiece] {
        var pieces: [UnigramPiece] = []
        try scanner.array { scanner in
            try scanner.expect("[")
            let text = try scanner.string()
            try scanner.expect(",")
            pieces.append(UnigramPiece(text: text, score: try score(&scanner)))
            try scanner.expect("]")
            guard pieces.count <= VocabularyFiles.highestID else {
                throw scanner.failure("too many pieces")
            }
        }
        guard !pieces.isEmpty else { throw scanner.failure("the vocabulary is empty") }
        return pieces
    }

    private static func score(_ scanner: inout JSONScanner) throws -> Double {
        _ = scanner.peek()
        let start = scanner.offset
        _ = try scanner.number()
        let digits = UnsafeRawBufferPointer(rebasing: scanner.bytes[start..<scanner.offset])
        guard let score = ReferenceNumber.value(of: digits) else {
            throw scanner.failure("the score is too large", at: start)
        }
        return score
    }

    /// Reads merges in the order of their rank, written as `"a b"` or `["a", "b"]`.
    private static func merges(_ scanner: inout JSONScanner) throws -> [BytePairMerge] {
        var merges: [BytePairMerge] = []
        var line = 1 + scanner.bytes[..<scanner.offset].count { $0 == 0x0A }
        var counted = scanner.offset
        try scanner.array { scanner in
            let next = scanner.peek()
            line += scanner.bytes[counted..<scanner.offset].count { $0 == 0x0A }
            counted = scanner.offset
            if next == UInt8(ascii: "[") {
                try scanner.expect("[")
                let left = try scanner.string()
                try scanner.expect(",")
                let right = try scanner.string()
                try scanner.expect("]")
                merges.append(BytePairMerge(left: left, right: right, line: line))
            } else {
                let text = try scanner.string()
                let parts = text.utf8.split(separator: 0x20, omittingEmptySubsequences: false)
                guard parts.count == 2, !parts[0].isEmpty, !parts[1].isEmpty else {
                    throw scanner.failure(
                        "expected two tokens with one space between, found '\(text)'", at: counted)
                }
                merges.append(
                    BytePairMerge(
                        left: String(Substring(parts[0])), right: String(Substring(parts[1])),
                        line: line))
            }
        }
        return merges
    }

    // MARK: - Added tokens

    private mutating func readAddedTokens() throws {
        func refuse(_ reason: String) -> TokenizerError {
            .unsupported(file: file, reason: "added_tokens: " + reason)
        }
        guard let list = parts["added_tokens"], !list.isNull else { return }
        guard let values = list.arrayValue else { throw refuse("expected an array") }
        let vocabulary = vocabularyTable()
        // Tokens that the vocabulary lacks get the ids behind it, one after the other.
        var next = Int32(model.entries?.count ?? model.pieces?.count ?? 0)
        var seen = ByteStringTable(capacity: values.count)
        for (index, value) in values.enumerated() {
            let token = try addedToken(value, "added_tokens[\(index)]")
            if let known = vocabulary.known(token.content) {
                guard token.id == known else {
                    throw refuse(
                        "'\(token.content)' has the id \(token.id) there but \(known) in the "
                            + "vocabulary")
                }
            } else {
                guard token.id == next else {
                    throw refuse(
                        "'\(token.content)' has the id \(token.id), but the next one behind the "
                            + "vocabulary is \(next)")
                }
                next += 1
            }
            guard seen.insert(token.content, id: token.id) < 0 else {
                throw refuse("'\(token.content)' is there twice")
            }
            addedTokens.append(token)
        }
    }

    func vocabularyTable() -> ByteStringTable {
        var table = ByteStringTable(
            capacity: model.entries?.count ?? model.pieces?.count ?? 0)
        for entry in model.entries ?? [] { _ = table.insert(entry.token, id: entry.id) }
        for (id, piece) in (model.pieces ?? []).enumerated() {
            _ = table.insert(piece.text, id: Int32(id))
        }
        return table
    }

    private func addedToken(_ value: JSONValue, _ path: String) throws -> AddedToken {
        let part = TokenizerComponent(
            type: "AddedToken", settings: value.objectValue ?? [:], path: path, file: file)
        try part.allow("id", "content", "single_word", "lstrip", "rstrip", "normalized", "special")
        guard let id = try part.int("id"), let content = try part.string("content"),
            let singleWord = try part.bool("single_word"), let left = try part.bool("lstrip"),
            let right = try part.bool("rstrip"), let normalized = try part.bool("normalized"),
            let special = try part.bool("special")
        else {
            throw part.refusal(
                "expected id, content, single_word, lstrip, rstrip, normalized and special")
        }
        guard 0...VocabularyFiles.highestID ~= id, !content.isEmpty else {
            throw part.refusal("'\(content)' with the id \(id) is no token")
        }
        return AddedToken(
            content: content, id: Int32(id), leftStrip: left, rightStrip: right,
            singleWord: singleWord, normalized: normalized, special: special)
    }
}
