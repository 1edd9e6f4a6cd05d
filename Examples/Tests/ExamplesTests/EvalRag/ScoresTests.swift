import ExampleSupport
import Foundation
import RAGKit
import Testing

@testable import EvalRag

@Suite struct ScoresTests {
    private static func prediction(_ text: String?, titles: [String]) -> Prediction {
        var prediction = Prediction(
            question: "who?",
            found: titles.enumerated().map { place, title in
                RetrievedPassage(
                    passage: Passage(id: PassageID(place), title: title, text: "About \(title)."),
                    score: Float(10 - place))
            })
        prediction.text = text
        return prediction
    }

    private func metrics(_ scores: Scores) -> [String: Double] {
        Dictionary(uniqueKeysWithValues: scores.metrics.map { ($0.name, $0.value) })
    }

    @Test func answers() {
        var scores = Scores()
        let titles = ["Iron", "Zinc", "Lead"]
        scores.addAnswer(
            Self.prediction("The zinc", titles: titles), ["lead", "zinc"], cutoffs: [1, 2])
        scores.addAnswer(
            Self.prediction("zinc coat", titles: titles), ["gold"], cutoffs: [1, 2])
        let found = metrics(scores)
        #expect(scores.count == 2)
        #expect(found == ["em": 50, "f1": 50, "recall@1": 0, "recall@2": 50])
    }

    /// The share of the first k that are gold, and of the questions with a gold title among them.
    @Test func titles() {
        var scores = Scores()
        let found = Self.prediction(nil, titles: ["\"Iron\"", "Zinc", "Lead", "Gold"])
        scores.addTitles(found, ["Iron", "Lead"], k: 4, cutoffs: [1, 4])
        scores.addTitles(found, ["Gold"], k: 4, cutoffs: [1, 4])
        #expect(metrics(scores) == ["precision@4": 37.5, "recall@1": 50, "recall@4": 100])
    }

    /// What is written is what is scored later.
    @Test func predictionsAreReadAgain() throws {
        let file = FileManager.default.temporaryDirectory
            .appendingPathComponent("ragkit-predictions-\(UUID().uuidString).jsonl")
        defer { try? FileManager.default.removeItem(at: file) }
        var first = Self.prediction("the\nzinc", titles: ["Iron", "Zinc"])
        // One passage was read, the other only looked at.
        first.posteriors = [1]
        first.tokenIDs = [2, 5, 2]
        let second = Self.prediction(nil, titles: ["Lead"])
        try [first, second].map { $0.json.text(indent: nil) + "\n" }.joined()
            .write(to: file, atomically: true, encoding: .utf8)
        let found = try Prediction.read(file)
        #expect(found.map(\.question) == ["who?", "who?"])
        #expect(found.map(\.text) == ["the\nzinc", nil])
        #expect(found.map { $0.passages.map(\.title) } == [["Iron", "Zinc"], ["Lead"]])
        #expect(first.json["token_ids"] == [2, 5, 2])
        #expect(first.json["passages"]?.arrayValue?.count == 1)
        #expect(first.json["further_passages"]?.arrayValue?.count == 1)

        try "{}\n".write(to: file, atomically: true, encoding: .utf8)
        let error = #expect(throws: ProgramError.self) { _ = try Prediction.read(file) }
        #expect(error.map { "\($0)".contains("\(file.path):1") } == true)
    }
}
