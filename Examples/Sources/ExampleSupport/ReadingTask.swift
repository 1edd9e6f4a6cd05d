import Foundation
import RAGKit

/// Teaches a generator to read: to answer from a passage it is given.
///
/// The first steps only repeat lists of random words: a model made from nothing learns to copy from
/// that in hundreds of steps, and from short answers alone in thousands.
///
/// With an almanac every passage and question is rewritten with other facts each time, so that
/// nothing can be learnt by heart, and passages grow from the sentence with the answer to the whole,
/// which teaches to copy long before whole passages would; else gold passages are read as they are.
public final class ReadingTask: TrainingTask {
    /// A question with the passage that answers it.
    public enum Example: Sendable {
        case rewritable(Almanac.Question)
        case fixed(Passage, RagExample)
    }

    private let rag: RagModel
    private let almanac: Almanac?
    private var random: SeededGenerator
    private let words: [String]
    private let copyingSteps: Int
    private let growingSteps: Int
    private var step = 0

    /// - Parameters:
    ///   - words: what the first steps repeat: all words of the knowledge base.
    ///   - copyingSteps: how many steps only repeat.
    ///   - growingSteps: in how many steps after them passages grow to their whole length.
    public init(
        _ rag: RagModel, almanac: Almanac?, words: [String], copyingSteps: Int, growingSteps: Int,
        seed: UInt64
    ) {
        self.rag = rag
        self.almanac = almanac
        self.words = words
        self.copyingSteps = words.isEmpty ? 0 : copyingSteps
        self.growingSteps = growingSteps
        random = SeededGenerator(seed: seed)
    }

    public var model: Module { rag.generator }

    public func prepare(
        _ batch: [Example]
    ) async throws -> (questions: [String], passages: [Passage], answers: [String]) {
        var texts: (questions: [String], passages: [Passage], answers: [String]) = ([], [], [])
        defer { step += 1 }
        guard step >= copyingSteps else {
            for _ in batch {
                let list = (0..<8).map { _ in words.randomElement(using: &random) ?? "" }
                    .joined(separator: " ")
                texts.questions.append("Repeat the list.")
                texts.passages.append(Passage(id: 0, title: "list", text: list))
                texts.answers.append(list)
            }
            return texts
        }
        // Passages of the almanac have up to eight sentences.
        let grown = step - copyingSteps
        let sentences = grown >= growingSteps ? Int.max : 1 + grown * 8 / growingSteps
        for example in batch {
            switch example {
            case .rewritable(let question):
                let row = almanac?.rewritten(question, sentences: sentences, using: &random)
                guard let row else { continue }
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
