/// Measures exact match, F1 and recall of a RAG model.
public struct RagEvaluator: Sendable {
    /// The number of questions that are answered at a time.
    public var batchSize = 32
    /// The cut-offs k of recall@k.
    public var cutoffs = [1, 5]
    /// The number of documents that are read for an answer; the model's number by default.
    public var nDocs: Int?
    public var generation: GenerationConfiguration?

    public init() {}

    /// - Throws: what answering throws, and `CancellationError` between batches.
    public func scores(of model: RagModel, on examples: [RagExample]) async throws -> RagScores {
        var answers: [String] = []
        var ranks: [Int?] = []
        for first in stride(from: 0, to: examples.count, by: max(1, batchSize)) {
            try Task.checkCancellation()
            let batch = examples[first..<min(first + max(1, batchSize), examples.count)]
            let questions = batch.map(\.question)
            let read = nDocs ?? model.configuration.nDocs
            let found = try await model.retrieve(
                questions, count: max(read, cutoffs.max() ?? read))
            answers += try await model.answer(
                questions, count: read, passages: found, generation: generation
            ).map(\.text)
            ranks += zip(found.passages, batch).map { passages, example in
                passages.firstIndex { Self.holds($0.passage, example) }
            }
        }
        var scores = RagScores(answers: answers, to: examples)
        for cutoff in cutoffs where !ranks.isEmpty {
            let hits = ranks.count { $0.map { $0 < cutoff } == true }
            scores.recall[cutoff] = Double(hits) * (100 / Double(ranks.count))
        }
        return scores
    }

    /// True if a passage is the gold one, or, where none is known, contains an answer.
    private static func holds(_ passage: Passage, _ example: RagExample) -> Bool {
        if let gold = example.goldPassage { return passage.id == gold }
        return AnswerMetrics.contains(
            passage.title + " " + passage.text, anyOf: example.answers)
    }
}
