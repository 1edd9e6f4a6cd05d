import Foundation

/// The files of a tokenizer by name, and their reading and writing.
enum TokenizerFiles {
    static let tokenizerJSON = "tokenizer.json"
    static let wordPieceVocabulary = "vocab.txt"
    static let bytePairVocabulary = "vocab.json"
    static let bytePairMerges = "merges.txt"
    static let sentencePieceModel = "spiece.model"
    static let configuration = "tokenizer_config.json"
    static let specialTokensMap = "special_tokens_map.json"
    static let addedTokens = "added_tokens.json"

    /// The files of which a tokenizer has at least one.
    static let vocabularies = [
        tokenizerJSON, wordPieceVocabulary, bytePairVocabulary, sentencePieceModel,
    ]

    /// True if a directory holds a tokenizer's vocabulary, whole or not.
    static func exist(in directory: URL) -> Bool {
        vocabularies.contains { existing($0, in: directory) != nil }
    }

    /// The place of a file, or `nil` if the directory has none of that name.
    static func existing(_ name: String, in directory: URL) -> URL? {
        let url = directory.appendingPathComponent(name)
        return FileManager.default.fileExists(atPath: url.path) ? url : nil
    }

    static func read(_ url: URL) throws -> [UInt8] {
        do {
            return Array(try Data(contentsOf: url))
        } catch {
            throw TokenizerError.unreadable(file: url.path, reason: "\(error.localizedDescription)")
        }
    }

    /// Reads a JSON file as Python does; `nil` if there is none.
    static func json(_ name: String, in directory: URL) throws -> JSONValue? {
        guard let url = existing(name, in: directory) else { return nil }
        do {
            return try read(url).withUnsafeBytes { try JSONValue(parsing: $0, file: url.path) }
        } catch let JSONError.syntax(file, line, _, reason) {
            throw TokenizerError.malformed(
                file: file, line: line, reason: "this is not JSON: \(reason)")
        }
    }

    /// Writes a file atomically.
    static func write(_ bytes: [UInt8], to url: URL) throws {
        try writing(url) { try AtomicFile.write(bytes, to: url) }
    }

    /// Writes a text as UTF-8, atomically.
    static func write(_ text: String, to url: URL) throws {
        try writing(url) { try AtomicFile.write(text, to: url) }
    }

    /// Creates a directory and those above it where they do not exist yet.
    static func makeDirectory(_ url: URL) throws {
        try writing(url) { try FileCalls.makeDirectories(url) }
    }

    private static func writing(_ url: URL, _ body: () throws -> Void) throws {
        do {
            try body()
        } catch {
            throw TokenizerError.cannotWrite(file: url.path, reason: "\(error)")
        }
    }
}
