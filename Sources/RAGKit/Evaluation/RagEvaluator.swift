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
        var scores = RagScores()
        for first in stride(from: 0, to: examples.count, by: max(1, batchSize)) {
            try Task.checkCancellation()
            let batch = Array(examples[first..<min(first + max(1, batchSize), examples.count)])
            try await add(batch, model, &scores)
        }
        let share = 100 / Double(max(1, scores.count))
        scores.exactMatch *= share
        scores.f1 *= share
        scores.recall = scores.recall.mapValues { $0 * share }
        return scores
    }

    private func add(_ batch: [RagExample], _ model: RagModel, _ scores: inout RagScores)
        async throws
    {
        let questions = batch.map(\.question)
        let vectors = try ForwardContext.$current.withValue(.inference) {
            model.questionEncoder(try model.questionTokens(questions))
        }
        let read = nDocs ?? model.configuration.nDocs
        let found = try await model.retrieve(
            questions, vectors: vectors, count: max(read, cutoffs.max() ?? read))
        let answers = try await model.answer(
            questions, count: read, passages: found, generation: generation)
        for (index, example) in batch.enumerated() {
            scores.count += 1
            let text = answers[index].text
            scores.exactMatch += AnswerMetrics.exactMatch(text, example.answers) ? 1 : 0
            scores.f1 += AnswerMetrics.f1(text, example.answers)
            let rank = found[index].firstIndex { Self.holds($0.passage, example) }
            for cutoff in cutoffs {
                scores.recall[cutoff, default: 0] += rank.map { $0 < cutoff } == true ? 1 : 0
            }
        }
    }

    /// Whether a passage is the gold one, or where none is known, contains an answer.
    private static func holds(_ passage: Passage, _ example: RagExample) -> Bool {
        if let gold = example.goldPassage { return passage.id == gold }
        let words = " " + AnswerMetrics.normalized(passage.title + " " + passage.text) + " "
        return example.answers.contains { answer in
            let wanted = AnswerMetrics.normalized(answer)
            return !wanted.isEmpty && words.contains(" " + wanted + " ")
        }
    }
}
