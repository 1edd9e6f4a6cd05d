import Foundation
import RAGKit

/// Teaches a generator to read: to answer from a passage it is given.
///
/// With an almanac every passage and question is rewritten with other facts each time, so that
/// nothing can be learnt by heart; else the gold passages are read as they are.
public final class ReadingTask: TrainingTask {
    /// A question with the passage that answers it.
    public enum Example: Sendable {
        case rewritable(Almanac.Question)
        case fixed(Passage, RagExample)
    }

    private let rag: RagModel
    private let almanac: Almanac?
    private var random: SeededGenerator

    public init(_ rag: RagModel, almanac: Almanac?, seed: UInt64) {
        self.rag = rag
        self.almanac = almanac
        random = SeededGenerator(seed: seed)
    }

    public var model: Module { rag.generator }

    public func prepare(
        _ batch: [Example]
    ) async throws -> (questions: [String], passages: [Passage], answers: [String]) {
        var texts: (questions: [String], passages: [Passage], answers: [String]) = ([], [], [])
        for example in batch {
            switch example {
            case .rewritable(let question):
                guard let row = almanac?.rewritten(question, using: &random) else { continue }
                texts.questions.append(row.question)
                texts.passages.append(row.passage)
                texts.answers.append(row.answer)
            case .fixed(let passage, let example):
                texts.questions.append(example.question)
                texts.passages.append(passage)
                texts.answers.append(example.answers[0])
            }
        }
        return texts
    }

    public func loss(
        _ texts: (questions: [String], passages: [Passage], answers: [String])
    ) throws -> TrainingLoss {
        let evidence = try rag.evidence(
            texts.questions,
            passages: texts.passages.map { [RetrievedPassage(passage: $0, score: 0)] },
            scores: texts.passages.map { _ in [0] })
        let unused = Tensor.zeros([texts.questions.count, rag.questionEncoder.dimension])
        let loss = try rag.loss(
            vectors: unused, evidence: evidence, targets: rag.targetTokens(texts.answers))
        return TrainingLoss(sum: loss.sum, weight: loss.targetTokens)
    }
}
