/// The scores of a RAG model on a set of questions.
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
