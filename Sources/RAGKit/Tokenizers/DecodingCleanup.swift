import Foundation

/// The closing up of spaces before English punctuation and contractions.
enum DecodingCleanup {
    /// In this order; an early replacement can make or break a later one.
    ///
    /// Source: `clean_up_tokenization` of `transformers`.
    private static let replacements = [
        (" .", "."), (" ?", "?"), (" !", "!"), (" ,", ","), (" ' ", "'"),
        (" n't", "n't"), (" 'm", "'m"), (" 's", "'s"), (" 've", "'ve"), (" 're", "'re"),
    ].map { (Array($0.0.utf8), Array($0.1.utf8)) }

    /// What the WordPiece decoder does to each token by itself, asked or not: the same, and one
    /// more in the middle.
    ///
    /// Source: `cleanup` of `tokenizers`.
    private static let tokenReplacements =
        replacements[..<7] + [(Array(" do not".utf8), Array(" don't".utf8))] + replacements[7...]

    static func cleaned(_ text: [UInt8]) -> [UInt8] { cleaned(text, replacements[...]) }

    static func cleanedToken(_ token: [UInt8]) -> [UInt8] { cleaned(token, tokenReplacements) }

    private static func cleaned(
        _ text: [UInt8], _ replacements: ArraySlice<([UInt8], [UInt8])>
    ) -> [UInt8] {
        // Every pattern is a space and one of these.
        let mayChange = text.indices.dropLast().contains {
            text[$0] == 0x20 && ".?!,'nd".utf8.contains(text[$0 + 1])
        }
        guard mayChange else { return text }
        var text = text
        for (pattern, replacement) in replacements {
            replace(pattern, by: replacement, in: &text)
        }
        return text
    }

    /// Replaces every occurrence from left to right, without looking at its own output.
    private static func replace(
        _ pattern: [UInt8], by replacement: [UInt8], in text: inout [UInt8]
    ) {
        guard text.count >= pattern.count else { return }
        var read = 0
        var write = 0
        while read < text.count {
            let fits = read + pattern.count <= text.count
            if fits, pattern.indices.allSatisfy({ text[read + $0] == pattern[$0] }) {
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
