import Foundation
import RAGKit

/// Teaches a generator to read: to answer from a passage it is given.
///
/// The first steps only repeat lists of random words: a model with random weights learns to copy from
/// that in hundreds of steps, and from short answers alone in thousands.
///
/// With an almanac every passage and question is rewritten with other facts each time, so that
/// nothing can be learnt by heart, and passages grow from the sentence with the answer to the whole,
/// which teaches to copy long before whole passages would. All facts of a passage are asked for in
/// one batch: what tells its answers apart is then the question alone, and a reader that would
/// answer half of the questions after some thousand steps of single ones answers four fifths. Else
/// gold passages are read as they are.
public final class ReadingTask: TrainingTask {
    /// A question with the passage that answers it.
    public enum Example: Sendable {
        case rewritable(Almanac.Question)
        case fixed(Passage, RagExample)
    }

    /// Questions, each with its passage and answer.
    public struct Texts: Sendable {
        public internal(set) var questions: [String] = []
        public internal(set) var passages: [Passage] = []
        public internal(set) var answers: [String] = []

        mutating func append(_ question: String, _ passage: Passage, _ answer: String) {
            questions.append(question)
            passages.append(passage)
            answers.append(answer)
        }
    }

    private let rag: RagModel
    private let almanac: Almanac?
    private var random: SeededGenerator
    private let words: [String]
    private let copyingSteps: Int
    private let growingSteps: Int
    private var step = 0

    /// - Parameters:
    ///   - words: The words that the first steps repeat: all words of the knowledge base.
    ///   - copyingSteps: The number of steps that only repeat.
    ///   - growingSteps: The number of steps after them in which passages grow to their whole length.
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

    public func prepare(_ batch: [Example]) async throws -> Texts {
        defer { step += 1 }
        guard step >= copyingSteps else { return lists(batch.count) }
        // Passages of the almanac have up to eight sentences.
        let grown = step - copyingSteps
        let sentences = grown >= growingSteps ? Int.max : 1 + grown * 8 / growingSteps
        var texts = Texts()
        for example in batch where texts.questions.count < batch.count {
            switch example {
            case .rewritable(let question):
                let reading = almanac?.rewritten(
                    question, sentences: sentences, questions: batch.count - texts.questions.count,
                    using: &random)
                guard let reading else { continue }
                for (question, answer) in reading.questions {
                    texts.append(question, reading.passage, answer)
                }
            case .fixed(let passage, let example):
                texts.append(example.question, passage, example.answers[0])
            }
        }
        return texts
    }

    /// Lists of random words to repeat.
    private func lists(_ count: Int) -> Texts {
        var texts = Texts()
        for _ in 0..<count {
            let list = (0..<8).map { _ in words.randomElement(using: &random) ?? "" }
                .joined(separator: " ")
            texts.append("Repeat the list.", Passage(id: 0, title: "list", text: list), list)
        }
        return texts
    }

    public func loss(_ texts: Texts) throws -> TrainingLoss {
        let evidence = try rag.evidence(
            texts.questions,
            passages: RetrievalResult(
                texts.passages.map { [RetrievedPassage(passage: $0, score: 0)] }),
            scores: texts.passages.map { _ in [0] })
        let unused = Tensor.zeros([texts.questions.count, rag.questionEncoder.dimension])
        let loss = try rag.loss(
            vectors: unused, evidence: evidence, targets: rag.targetTokens(texts.answers))
        return TrainingLoss(sum: loss.sum, weight: loss.targetTokens)
    }
}
