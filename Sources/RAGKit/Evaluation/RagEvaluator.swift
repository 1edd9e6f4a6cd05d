/// What a RAG model scored on a set of questions.
public struct RagScores: Sendable, Equatable {
    /// The number of questions.
    public var count = 0
    /// The share of answers that match exactly, in percent.
    public var exactMatch = 0.0
    /// The mean F1 over words, in percent.
    public var f1 = 0.0
    /// For each cut-off k, the share of questions whose answer is in the first k passages, in
    /// percent.
    public var recall: [Int: Double] = [:]

    public init() {}

    /// Exact match and F1 of answers to the questions of examples, one for each.
    public init(answers: [String], to examples: [RagExample]) {
        precondition(
            answers.count == examples.count,
            "RagScores: \(answers.count) answers to \(examples.count) questions")
        count = examples.count
        for (answer, example) in zip(answers, examples) {
            exactMatch += AnswerMetrics.exactMatch(answer, example.answers) ? 1 : 0
            f1 += AnswerMetrics.f1(answer, example.answers)
        }
        let share = 100 / Double(max(1, count))
        exactMatch *= share
        f1 *= share
    }

    /// The scores by the names that logs use.
    public var metrics: [String: Double] {
        var metrics = ["em": exactMatch, "f1": f1]
        for (cutoff, value) in recall { metrics["recall@\(cutoff)"] = value }
        return metrics
    }
}

/// Measures exact match, F1 and recall of a RAG model.
public struct RagEvaluator: Sendable {
    /// How many questions are answered at a time.
    public var batchSize = 32
    /// The cut-offs k of recall@k.
    public var cutoffs = [1, 5]
    /// How many documents are read for an answer; the model's number by default.
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
            ranks += zip(found, batch).map { passages, example in
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

    /// Whether a passage is the gold one, or where none is known, contains an answer.
    private static func holds(_ passage: Passage, _ example: RagExample) -> Bool {
        if let gold = example.goldPassage { return passage.id == gold }
        return AnswerMetrics.contains(
            passage.title + " " + passage.text, anyOf: example.answers)
    }
}
