import Foundation

/// Readers of the vocabularies that are text, line by line. Each error names the file and the line.
enum VocabularyFiles {
    /// The highest id that is accepted.
    ///
    /// Tables are as long as the highest id, so without a limit one damaged line could ask for any
    /// amount of memory. The largest vocabularies have a million entries.
    static let highestID = 1 << 21

    /// The lines of a text file without their ends, each checked to be UTF-8.
    ///
    /// Lines end with `\n`, `\r\n` or `\r`, as Python reads text. A line end at the end of the file
    /// does not begin another line.
    static func lines(of bytes: [UInt8], file: String) throws -> [String] {
        var lines: [String] = []
        var start = 0
        func add(_ end: Int) throws {
            // Decoding repairs what is broken, which shows in the bytes.
            let line = String(decoding: bytes[start..<end], as: UTF8.self)
            guard line.utf8.elementsEqual(bytes[start..<end]) else {
                throw TokenizerError.malformed(
                    file: file, line: lines.count + 1, reason: "this is not UTF-8 text")
            }
            lines.append(line)
        }
        var index = 0
        while index < bytes.count {
            let byte = bytes[index]
            if byte == 0x0A || byte == 0x0D {
                try add(index)
                if byte == 0x0D, index + 1 < bytes.count, bytes[index + 1] == 0x0A { index += 1 }
                start = index + 1
            }
            index += 1
        }
        if start < bytes.count { try add(bytes.count) }
        return lines
    }

    /// Reads a `vocab.txt`: one token per line, whose id is the line's number counted from 0.
    static func wordPieceVocabulary(_ url: URL) throws -> [String] {
        try wordPieceVocabulary(try TokenizerFiles.read(url), file: url.path)
    }

    static func wordPieceVocabulary(_ bytes: [UInt8], file: String) throws -> [String] {
        let tokens = try lines(of: bytes, file: file)
        guard !tokens.isEmpty else {
            throw TokenizerError.malformed(
                file: file, line: 1, reason: "the vocabulary is empty; expected a token a line")
        }
        var seen = ByteStringTable(capacity: tokens.count)
        for (index, token) in tokens.enumerated() where !token.isEmpty {
            let earlier = seen.insert(token, id: Int32(index))
            if earlier >= 0 {
                throw TokenizerError.malformed(
                    file: file, line: index + 1,
                    reason: "the token '\(token)' is already on line \(earlier + 1), so it would "
                        + "have two ids; remove one of them")
            }
        }
        return tokens
    }

    /// Reads a `merges.txt`: two tokens per line, the most important pair first, after a `#version`
    /// line.
    static func merges(_ url: URL) throws -> [BytePairMerge] {
        try merges(try TokenizerFiles.read(url), file: url.path)
    }

    static func merges(_ bytes: [UInt8], file: String) throws -> [BytePairMerge] {
        var merges: [BytePairMerge] = []
        for (index, line) in try lines(of: bytes, file: file).enumerated() {
            if line.isEmpty || line.hasPrefix("#version") { continue }
            let parts = line.utf8.split(separator: 0x20, omittingEmptySubsequences: false)
            guard parts.count == 2, !parts[0].isEmpty, !parts[1].isEmpty else {
                throw TokenizerError.malformed(
                    file: file, line: index + 1,
                    reason: "expected two tokens with one space between, found '\(line)'")
            }
            merges.append(
                BytePairMerge(
                    left: String(Substring(parts[0])), right: String(Substring(parts[1])),
                    line: index + 1))
        }
        return merges
    }
}
