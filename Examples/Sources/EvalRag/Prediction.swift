import ExampleSupport
import Foundation
import RAGKit

/// The answer to a question with its passages: a line of the predictions' file.
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
    /// All that were found, of which the first were read.
    var passages: [Source]
    /// The posteriors of the passages that were read.
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
