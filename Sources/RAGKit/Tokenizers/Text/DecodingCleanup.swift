/// Removes spaces before English punctuation and contractions from decoded text.
enum DecodingCleanup {
    /// The replacements in the reference's order, which matters: one can make or break a later one.
    ///
    /// Source: `clean_up_tokenization` of `transformers`.
    private static let replacements = [
        (" .", "."), (" ?", "?"), (" !", "!"), (" ,", ","), (" ' ", "'"),
        (" n't", "n't"), (" 'm", "'m"), (" 's", "'s"), (" 've", "'ve"), (" 're", "'re"),
    ].map { (Array($0.0.utf8), Array($0.1.utf8)) }

    /// The replacements that the WordPiece decoder always applies to each token: the same and one
    /// more.
    ///
    /// Source: `cleanup` of `tokenizers`.
    private static let tokenReplacements =
        replacements[..<7] + [(Array(" do not".utf8), Array(" don't".utf8))] + replacements[7...]

    /// True for the bytes that follow the space in a pattern.
    private static let seconds: [Bool] = {
        var seconds = [Bool](repeating: false, count: 256)
        for (pattern, _) in tokenReplacements { seconds[Int(pattern[1])] = true }
        return seconds
    }()

    static func clean(_ text: inout [UInt8]) { clean(&text, from: 0, replacements[...]) }

    /// Cleans the token that begins at `start` and ends the text.
    static func cleanToken(in text: inout [UInt8], from start: Int) {
        clean(&text, from: start, tokenReplacements)
    }

    private static func clean(
        _ text: inout [UInt8], from start: Int, _ replacements: ArraySlice<([UInt8], [UInt8])>
    ) {
        guard mayChange(text, from: start) else { return }
        for (pattern, replacement) in replacements {
            replace(pattern, by: replacement, in: &text, from: start)
        }
    }

    private static func mayChange(_ text: [UInt8], from start: Int) -> Bool {
        var index = start
        while index + 1 < text.count {
            if text[index] == 0x20, seconds[Int(text[index + 1])] { return true }
            index += 1
        }
        return false
    }

    /// Replaces every occurrence from left to right; replacements are not searched again.
    private static func replace(
        _ pattern: [UInt8], by replacement: [UInt8], in text: inout [UInt8], from start: Int
    ) {
        var read = start
        var write = start
        while read < text.count {
            if text[read] == 0x20, text[read...].starts(with: pattern) {
                for byte in replacement {  // never longer than what it replaces
                    text[write] = byte
                    write += 1
                }
                read += pattern.count
            } else {
                text[write] = text[read]
                write += 1
                read += 1
            }
        }
        text.removeLast(text.count - write)
    }
}
