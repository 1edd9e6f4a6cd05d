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
        let titles = ["Iron", "Zinc", "Lead"]
        let scores = Scores(
            answers: [
                Self.prediction("The zinc", titles: titles),
                Self.prediction("zinc coat", titles: titles),
            ],
            to: [
                RagExample(question: "who?", answers: ["lead", "zinc"]),
                RagExample(question: "who?", answers: ["gold"]),
            ], cutoffs: [1, 2])
        #expect(metrics(scores) == ["em": 50, "f1": 50, "recall@1": 0, "recall@2": 50])
        #expect(scores.metrics.map(\.name) == ["em", "f1", "recall@1", "recall@2"])
    }

    /// The share of the first k that are gold, and of the questions with a gold title among them.
    @Test func titles() {
        let found = Self.prediction(nil, titles: ["\"Iron\"", "Zinc", "Lead", "Gold"])
        let scores = Scores(
            titles: [found, found],
            of: [["Iron", "Lead"], ["Gold"]].map { RagExample(question: "who?", answers: $0) },
            k: 4, cutoffs: [1, 4])
        #expect(metrics(scores) == ["precision@4": 37.5, "recall@1": 50, "recall@4": 100])
    }

    /// One quotation mark at either end of a title is not part of it.
    @Test(arguments: ["\"Iron\"", "\"Iron", "Iron\""])
    func quotationMarksAreStripped(title: String) {
        let scores = Scores(
            titles: [Self.prediction(nil, titles: [title])],
            of: [RagExample(question: "who?", answers: ["Iron"])], k: 1, cutoffs: [])
        #expect(metrics(scores) == ["precision@1": 100])
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
