import Foundation

/// Readers and writers of the vocabulary files. Each error names the file and the line.
enum VocabularyFiles {
    /// Ids above this are taken for damage: tables are as long as the highest id, so that one line
    /// could ask for any amount of memory. The largest vocabularies have a million entries.
    static let highestID = 1 << 21

    static func read(_ url: URL) throws -> [UInt8] {
        do {
            return Array(try Data(contentsOf: url))
        } catch {
            throw TokenizerError.unreadable(file: url.path, reason: "\(error.localizedDescription)")
        }
    }

    static func write(_ text: String, to url: URL) throws { try write(Array(text.utf8), to: url) }

    static func write(_ bytes: [UInt8], to url: URL) throws {
        do {
            try Data(bytes).write(to: url, options: .atomic)
        } catch {
            throw TokenizerError.cannotWrite(
                file: url.path, reason: "\(error.localizedDescription)")
        }
    }

    static func makeDirectory(_ url: URL) throws {
        do {
            try FileManager.default.createDirectory(at: url, withIntermediateDirectories: true)
        } catch {
            throw TokenizerError.cannotWrite(
                file: url.path, reason: "\(error.localizedDescription)")
        }
    }

    /// The lines of a text file without their ends (`\n`, `\r\n` or `\r`, as Python reads text),
    /// each checked to be UTF-8. A last line end does not begin another line.
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

    /// `vocab.txt`: one token a line, its id the number of the line counted from 0.
    static func wordPieceVocabulary(_ url: URL) throws -> [String] {
        try wordPieceVocabulary(try read(url), file: url.path)
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

    /// `merges.txt`: two tokens a line, the most important pair first, under a `#version` line.
    static func merges(_ url: URL) throws -> [BytePairMerge] {
        try merges(try read(url), file: url.path)
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

/// One line of `merges.txt`.
struct BytePairMerge: Sendable, Equatable {
    var left: String
    var right: String
    /// Where it stands in its file, for errors; 0 if it was not read from one.
    var line = 0
}
