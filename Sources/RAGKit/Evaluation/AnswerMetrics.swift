/// How well an answer's text fits what was expected.
///
/// Source: the SQuAD v1.1 evaluation script (Rajpurkar et al. 2016, arXiv:1606.05250).
public enum AnswerMetrics {
    /// Lower-cased, without ASCII punctuation and the words *a*, *an* and *the*, with single spaces.
    public static func normalized(_ text: String) -> String {
        var result = ""
        var word = ""
        func endWord() {
            if !["a", "an", "the"].contains(word) { result += word } else { result += " " }
            word = ""
        }
        for scalar in text.lowercased().unicodeScalars where !isPunctuation(scalar) {
            // A word, as in a regular expression's \b: letters and digits.
            if scalar.properties.isAlphabetic || scalar.properties.numericType != nil {
                word.unicodeScalars.append(scalar)
            } else {
                endWord()
                result.unicodeScalars.append(scalar)
            }
        }
        endWord()
        return result.split(whereSeparator: \.isWhitespace).joined(separator: " ")
    }

    /// Whether the normalized prediction equals any normalized answer.
    public static func exactMatch(_ prediction: String, _ answers: [String]) -> Bool {
        let found = normalized(prediction)
        return answers.contains { normalized($0) == found }
    }

    /// The best F1 over bags of words of the prediction and any answer, 0 to 1; 0 when they share no
    /// word, also when both are empty.
    public static func f1(_ prediction: String, _ answers: [String]) -> Double {
        let found = normalized(prediction).split(separator: " ")
        return answers.map { answer in
            var left: [Substring: Int] = [:]
            let expected = normalized(answer)
            let words = expected.split(separator: " ")
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

    private static func isPunctuation(_ scalar: Unicode.Scalar) -> Bool {
        switch scalar {
        case "!"..."/", ":"..."@", "["..."`", "{"..."~": true
        default: false
        }
    }
}
