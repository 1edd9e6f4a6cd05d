import RAGKit

/// The scores of predictions, in percent.
struct Scores {
    /// The scores by name, in the order in which they are shown.
    private(set) var metrics: [(name: String, value: Double)] = []

    init() {}

    /// Exact match and F1 of answers, and recall@k: the share of questions with an answer among the
    /// words of the first k passages.
    ///
    /// ``RagEvaluator`` measures the same of a model; predictions may come from a file.
    init(answers predictions: [Prediction], to examples: [RagExample], cutoffs: [Int]) {
        let scores = RagScores(answers: predictions.map { $0.text ?? "" }, to: examples)
        metrics = [("em", scores.exactMatch), ("f1", scores.f1)]
        let ranks = zip(predictions, examples).map { prediction, example in
            prediction.passages.firstIndex {
                AnswerMetrics.contains($0.title + " " + $0.text, anyOf: example.answers)
            }
        }
        for cutoff in cutoffs {
            add("recall@\(cutoff)", ranks.map { $0.map { $0 < cutoff } == true ? 1 : 0 })
        }
    }

    /// Precision@k of titles, the share of the first k that are gold, and recall@k, the share of
    /// questions with a gold title among the first k.
    init(titles predictions: [Prediction], of examples: [RagExample], k: Int, cutoffs: [Int]) {
        let lists = zip(predictions, examples).map { prediction, example in
            // The reference strips one quotation mark at either end of a title that it found.
            (
                found: prediction.passages.map { $0.title.replacing(/^"|"$/, with: "") },
                gold: Set(example.answers)
            )
        }
        add(
            "precision@\(k)",
            lists.map { Double($0.gold.intersection($0.found.prefix(k)).count) / Double(k) })
        for cutoff in cutoffs {
            add(
                "recall@\(cutoff)",
                lists.map { $0.gold.isDisjoint(with: $0.found.prefix(cutoff)) ? 0 : 1 })
        }
    }

    /// Adds the mean of a value of each question, 0 to 1.
    private mutating func add(_ name: String, _ values: [Double]) {
        metrics.append((name, 100 * values.reduce(0, +) / Double(max(1, values.count))))
    }
}
