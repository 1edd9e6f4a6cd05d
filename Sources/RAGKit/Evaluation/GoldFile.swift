public import Foundation

/// The contents of the gold file of an evaluation, a line for each question.
public enum GoldFormat: String, Sendable {
    /// Question, tab, answers as a Python list: `who …<TAB>['Marie Curie', "Curie"]`.
    case qa
    /// One answer.
    case ans
    /// Titles of the passages that should be found, separated by tabs.
    case titles
}

extension RagExample {
    /// Reads questions, one a line, with their gold file: answers, or titles in place of answers.
    ///
    /// - Throws: `DatasetError` naming file and line.
    public static func read(
        questions: URL, gold: URL, format: GoldFormat
    ) throws -> [RagExample] {
        let (asked, expected) = (try lines(of: questions), try lines(of: gold))
        guard asked.count == expected.count else {
            throw DatasetError.countMismatch(
                sources: questions.path, sourceCount: asked.count, targets: gold.path,
                targetCount: expected.count)
        }
        guard !asked.isEmpty else { throw DatasetError.empty(file: questions.path) }
        return try asked.indices.map { index in
            func invalid(_ file: URL, _ reason: String) -> DatasetError {
                .invalidLine(file: file.path, line: index + 1, reason: reason)
            }
            guard asked[index].contains(where: { !$0.isWhitespace }) else {
                throw invalid(questions, "an empty line")
            }
            let line = expected[index]
            let answers: [String]
            switch format {
            case .ans: answers = [line]
            case .titles: answers = line.split(separator: "\t").map { String($0) }
            case .qa:
                let columns = line.split(separator: "\t", omittingEmptySubsequences: false)
                guard columns.count >= 2, let list = PythonList.texts(columns[1]) else {
                    throw invalid(
                        gold, "expected a question, a tab and a list such as ['one', \"two\"]")
                }
                answers = list
            }
            guard !answers.isEmpty else { throw invalid(gold, "it names no answer") }
            return RagExample(question: asked[index], answers: answers)
        }
    }
}

/// Lists of strings as Python writes them, the only literal that gold files hold.
enum PythonList {
    /// The strings of `['a', "b"]`; `nil` if this is no such list.
    static func texts(_ source: Substring) -> [String]? {
        var rest = source.drop { $0.isWhitespace }
        guard rest.popFirst() == "[" else { return nil }
        var texts: [String] = []
        while true {
            rest = rest.drop { $0.isWhitespace }
            if rest.first == "]" {
                rest.removeFirst()
                return rest.allSatisfy(\.isWhitespace) ? texts : nil
            }
            guard let text = string(&rest) else { return nil }
            texts.append(text)
            rest = rest.drop { $0.isWhitespace }
            if rest.first == "," {
                rest.removeFirst()
            } else if rest.first != "]" {
                return nil
            }
        }
    }

    private static func string(_ rest: inout Substring) -> String? {
        guard let quote = rest.popFirst(), quote == "'" || quote == "\"" else { return nil }
        var text = String.UnicodeScalarView()
        while let character = rest.popFirst() {
            if character == quote { return String(text) }
            guard character == "\\" else {
                text += character.unicodeScalars
                continue
            }
            guard let escaped = escape(&rest) else { return nil }
            text += escaped.unicodeScalars
        }
        return nil
    }

    private static let plain: [Character: String] = [
        "n": "\n", "t": "\t", "r": "\r", "\\": "\\", "'": "'", "\"": "\"", "a": "\u{7}",
        "b": "\u{8}", "f": "\u{C}", "v": "\u{B}",
    ]

    private static func escape(_ rest: inout Substring) -> String? {
        guard let letter = rest.popFirst() else { return nil }
        if let text = plain[letter] { return text }
        let digits: [Character: Int] = ["x": 2, "u": 4, "U": 8]
        guard let count = digits[letter] else { return "\\" + String(letter) }
        let code = rest.prefix(count)
        guard code.count == count, let number = UInt32(code, radix: 16),
            let scalar = Unicode.Scalar(number)
        else { return nil }
        rest.removeFirst(count)
        return String(Character(scalar))
    }
}
