public import Foundation

extension RagExample {
    /// Reads `<split>.source` and `<split>.target` of a directory: one question and one answer a
    /// line, aligned by line number.
    ///
    /// - Parameter split: `train`, `val` or `test`.
    /// - Throws: `DatasetError` naming file and line.
    public static func read(directory: URL, split: String) throws -> [RagExample] {
        let source = directory.appendingPathComponent("\(split).source")
        let target = directory.appendingPathComponent("\(split).target")
        let (questions, answers) = (try lines(of: source), try lines(of: target))
        guard questions.count == answers.count else {
            throw DatasetError.countMismatch(
                sources: source.path, sourceCount: questions.count, targets: target.path,
                targetCount: answers.count)
        }
        guard !questions.isEmpty else { throw DatasetError.empty(file: source.path) }
        return try questions.indices.map { index in
            for (file, line) in [(source, questions[index]), (target, answers[index])]
            where !line.contains(where: { !$0.isWhitespace }) {
                throw DatasetError.invalidLine(
                    file: file.path, line: index + 1, reason: "an empty line")
            }
            var example = RagExample(question: questions[index], answers: [answers[index]])
            example.origin = "\(source.path):\(index + 1)"
            return example
        }
    }

    /// Reads JSON lines with `question`, `answers` and optionally `id`, the number of the passage
    /// that holds the answer.
    ///
    /// - Throws: `DatasetError` naming file and line.
    public static func read(jsonLines file: URL) throws -> [RagExample] {
        let examples = try lines(of: file).enumerated().compactMap { index, line in
            guard line.contains(where: { !$0.isWhitespace }) else { return nil as RagExample? }
            func invalid(_ reason: String) -> DatasetError {
                .invalidLine(file: file.path, line: index + 1, reason: reason)
            }
            let json: JSONValue
            do {
                json = try JSONValue(parsing: line, file: file.path)
            } catch let error as JSONError {
                throw invalid("not valid JSON: \(error)")
            }
            guard let question = json["question"]?.stringValue,
                question.contains(where: { !$0.isWhitespace })
            else { throw invalid("'question' must be a text") }
            let list = json["answers"]?.arrayValue ?? []
            let answers = list.compactMap(\.stringValue)
            guard !answers.isEmpty, answers.count == list.count,
                answers.allSatisfy({ $0.contains { !$0.isWhitespace } })
            else { throw invalid("'answers' must be a list of at least one text, none empty") }
            let gold: Int?
            switch json["id"] {
            case nil, .null?: gold = nil
            case .int(let number)? where number >= 0: gold = number
            default: throw invalid("'id' must be the number of a passage")
            }
            var example = RagExample(
                question: question, answers: answers, goldPassage: gold.map { PassageID($0) })
            example.origin = "\(file.path):\(index + 1)"
            return example
        }
        guard !examples.isEmpty else { throw DatasetError.empty(file: file.path) }
        return examples
    }

    /// The lines of a text file; the last may or may not end with a newline.
    static func lines(of file: URL) throws -> [String] {
        guard FileManager.default.fileExists(atPath: file.path) else {
            throw DatasetError.missingFile(file.path)
        }
        var data = try Data(contentsOf: file)
        if data.starts(with: [0xEF, 0xBB, 0xBF]) { data.removeFirst(3) }  // a byte order mark
        guard let text = String(data: data, encoding: .utf8) else {
            throw DatasetError.notUTF8(file: file.path)
        }
        // By bytes, since "\r\n" is one character.
        var lines = text.utf8.split(separator: UInt8(ascii: "\n"), omittingEmptySubsequences: false)
            .map { String(Substring($0.last == UInt8(ascii: "\r") ? $0.dropLast() : $0)) }
        if lines.last == "" { lines.removeLast() }
        return lines
    }
}
