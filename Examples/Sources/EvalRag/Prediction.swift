import ExampleSupport
import Foundation
import RAGKit

/// What was answered to a question: a line of the predictions' file.
struct Prediction {
    struct Source {
        var id: Int
        var title: String
        var text: String
        var score: Double
    }

    var question: String
    var text: String?
    var tokenIDs: [Int32] = []
    var score = 0.0
    /// As many as were looked at, of which the first were read.
    var passages: [Source]
    /// Of the passages that were read.
    var posteriors: [Double] = []

    init(_ answer: RagAnswer, found: [RetrievedPassage]) {
        question = answer.question
        text = answer.text
        tokenIDs = answer.tokenIDs
        score = Double(answer.score)
        posteriors = answer.sources.map { Double($0.posterior) }
        passages = Self.sources(found)
        for (place, source) in answer.sources.enumerated() where place < passages.count {
            passages[place].score = Double(source.score)
        }
    }

    init(question: String, found: [RetrievedPassage]) {
        self.question = question
        passages = Self.sources(found)
    }

    private static func sources(_ found: [RetrievedPassage]) -> [Source] {
        found.map {
            Source(
                id: $0.passage.id.rawValue, title: $0.passage.title, text: $0.passage.text,
                score: Double($0.score))
        }
    }

    var json: JSONValue {
        var json: JSONValue = ["question": .string(question)]
        if let text {
            json["text"] = .string(text)
            json["token_ids"] = .array(tokenIDs.map { .int(Int($0)) })
            json["score"] = .double(score)
        }
        let read = text == nil ? passages.count : posteriors.count
        json["passages"] = Self.list(passages.prefix(read))
        if text != nil { json["posteriors"] = .array(posteriors.map { .double($0) }) }
        // Found for recall@k, but not read.
        if read < passages.count { json["further_passages"] = Self.list(passages.dropFirst(read)) }
        return json
    }

    private static func list(_ sources: ArraySlice<Source>) -> JSONValue {
        .array(
            sources.map {
                [
                    "id": .int($0.id), "title": .string($0.title), "text": .string($0.text),
                    "score": .double($0.score),
                ]
            })
    }

    /// Reads a line that `json` was written to.
    init(json: JSONValue, file: String, line: Int) throws {
        guard let question = json["question"]?.stringValue,
            let passages = json["passages"]?.arrayValue
        else {
            throw ProgramError(
                "\(file):\(line): no prediction of this program: remove the file, or give "
                    + "--recalculate")
        }
        self.question = question
        text = json["text"]?.stringValue
        self.passages = (passages + (json["further_passages"]?.arrayValue ?? [])).map {
            Source(
                id: $0["id"]?.intValue ?? 0, title: $0["title"]?.stringValue ?? "",
                text: $0["text"]?.stringValue ?? "", score: $0["score"]?.doubleValue ?? 0)
        }
    }

    /// Reads a predictions' file.
    static func read(_ file: URL) throws -> [Prediction] {
        try String(contentsOf: file, encoding: .utf8).split(separator: "\n").enumerated()
            .map { index, line in
                try Prediction(
                    json: JSONValue(parsing: String(line), file: file.path), file: file.path,
                    line: index + 1)
            }
    }
}

/// Sums of what predictions score.
struct Scores {
    private var sums: [(name: String, sum: Double)] = []
    private(set) var count = 0

    private mutating func add(_ name: String, _ value: Double) {
        if let place = sums.firstIndex(where: { $0.name == name }) {
            sums[place].sum += value
        } else {
            sums.append((name, value))
        }
    }

    /// In percent.
    var metrics: [(name: String, value: Double)] {
        sums.map { ($0.name, 100 * $0.sum / Double(max(1, count))) }
    }

    mutating func addAnswer(_ prediction: Prediction, _ answers: [String], cutoffs: [Int]) {
        count += 1
        let text = prediction.text ?? ""
        add("em", AnswerMetrics.exactMatch(text, answers) ? 1 : 0)
        add("f1", AnswerMetrics.f1(text, answers))
        let rank = prediction.passages.firstIndex { passage in
            AnswerMetrics.contains(passage.title + " " + passage.text, anyOf: answers)
        }
        for cutoff in cutoffs { add("recall@\(cutoff)", rank.map { $0 < cutoff } == true ? 1 : 0) }
    }

    mutating func addTitles(_ prediction: Prediction, _ gold: [String], k: Int, cutoffs: [Int]) {
        count += 1
        // The reference strips one quotation mark at either end of what it found.
        let titles = prediction.passages.map { passage in
            var title = Substring(passage.title)
            if title.hasPrefix("\"") { title.removeFirst() }
            if title.hasSuffix("\"") { title.removeLast() }
            return String(title)
        }
        let wanted = Set(gold)
        add("precision@\(k)", Double(wanted.intersection(titles.prefix(k)).count) / Double(k))
        for cutoff in cutoffs {
            add("recall@\(cutoff)", wanted.isDisjoint(with: titles.prefix(cutoff)) ? 0 : 1)
        }
    }
}
