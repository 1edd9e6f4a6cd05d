/// Measures of the fit of an answer's text to the expected ones.
///
/// Source: the SQuAD v1.1 evaluation script (Rajpurkar et al. 2016, arXiv:1606.05250).
public enum AnswerMetrics {
    /// Lower-cased, without ASCII punctuation and the words *a*, *an* and *the*, with single spaces.
    public static func normalized(_ text: String) -> String {
        var words = String.UnicodeScalarView()
        var word = String.UnicodeScalarView()
        func endWord() {
            if !["a", "an", "the"].contains(String(word)) {
                words += word
            } else {
                words.append(" ")
            }
            word.removeAll()
        }
        // By scalars, as the script does: a character may begin with a space and hold an accent.
        for scalar in lowercased(text).unicodeScalars where !isPunctuation(scalar) {
            if isWordPart(scalar) {
                word.append(scalar)
            } else {
                endWord()
                words.append(scalar)
            }
        }
        endWord()
        return words.split(whereSeparator: isSpace).map { String($0) }.joined(separator: " ")
    }

    /// True if the normalized prediction equals any normalized answer, scalar by scalar.
    public static func exactMatch(_ prediction: String, _ answers: [String]) -> Bool {
        let found = normalized(prediction).utf8
        return answers.contains { normalized($0).utf8.elementsEqual(found) }
    }

    /// True if the words of any answer stand in the text as they are; an answer without words does not.
    public static func contains(_ text: String, anyOf answers: [String]) -> Bool {
        let words = " " + normalized(text) + " "
        return answers.contains { answer in
            let wanted = normalized(answer)
            return !wanted.isEmpty && words.contains(" " + wanted + " ")
        }
    }

    /// The best F1 over bags of words of the prediction and any answer, 0 to 1; 0 when they share no
    /// word, also when both are empty.
    public static func f1(_ prediction: String, _ answers: [String]) -> Double {
        func words(_ text: String) -> [[UInt8]] {
            normalized(text).utf8.split(separator: UInt8(ascii: " ")).map { Array($0) }
        }
        let found = words(prediction)
        return answers.map { answer in
            var left: [[UInt8]: Int] = [:]
            let words = words(answer)
            for word in words { left[word, default: 0] += 1 }
            var common = 0
            for word in found {
                guard let count = left[word], count > 0 else { continue }
                left[word] = count - 1
                common += 1
            }
            guard common > 0 else { return 0 }
            let precision = Double(common) / Double(found.count)
            let recall = Double(common) / Double(words.count)
            return 2 * precision * recall / (precision + recall)
        }.max() ?? 0
    }

    /// Lower-cased, with ς for Σ at the end of a word, which `String.lowercased()` makes σ.
    private static func lowercased(_ text: String) -> String {
        let sigma: Unicode.Scalar = "Σ"
        guard text.unicodeScalars.contains(sigma) else { return text.lowercased() }
        let scalars = Array(text.unicodeScalars)
        func isLetter(_ nearest: Unicode.Scalar?) -> Bool { nearest?.properties.isCased ?? false }
        var result = ""
        for (index, scalar) in scalars.enumerated() {
            guard scalar == sigma else {
                result += scalar.properties.lowercaseMapping
                continue
            }
            let before = scalars[..<index].last { !$0.properties.isCaseIgnorable }
            let after = scalars[(index + 1)...].first { !$0.properties.isCaseIgnorable }
            result += isLetter(before) && !isLetter(after) ? "ς" : "σ"
        }
        return result
    }

    /// The characters that Python's regular expressions take for parts of a word: letters and numbers. (The
    /// underscore is gone with the punctuation.)
    private static func isWordPart(_ scalar: Unicode.Scalar) -> Bool {
        switch scalar.properties.generalCategory {
        case .uppercaseLetter, .lowercaseLetter, .titlecaseLetter, .modifierLetter, .otherLetter:
            true
        default: scalar.properties.numericType != nil
        }
    }

    /// The characters that Python splits at: white space, and the four separators of ASCII.
    private static func isSpace(_ scalar: Unicode.Scalar) -> Bool {
        scalar.properties.isWhitespace || ("\u{1C}"..."\u{1F}").contains(scalar)
    }

    private static func isPunctuation(_ scalar: Unicode.Scalar) -> Bool {
        switch scalar {
        case "!"..."/", ":"..."@", "["..."`", "{"..."~": true
        default: false
        }
    }
}
