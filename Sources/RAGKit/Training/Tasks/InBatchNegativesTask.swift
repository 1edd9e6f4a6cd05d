/// Trains two encoders to find the passage that belongs to a question among those of the batch.
///
/// Each question's own passage is the right one; the other questions' passages are the wrong ones.
/// It is how DPR's encoders are made, and a warm start for end-to-end training.
///
/// Source: Karpukhin et al. 2020, arXiv:2004.04906, section 3.2.
public final class InBatchNegativesTask: TrainingTask {
    /// A question and the passage that answers it.
    public struct Pair: Sendable {
        public var question: String
        public var passage: Passage

        public init(question: String, passage: Passage) {
            self.question = question
            self.passage = passage
        }
    }

    /// Both encoders as one model.
    final class Encoders: Module {
        @ModuleInfo(key: "question") var question: any TextEncoder
        @ModuleInfo(key: "context") var context: any TextEncoder

        init(_ question: any TextEncoder, _ context: any TextEncoder) {
            super.init()
            self.question = question
            self.context = context
            namePaths()
        }
    }

    private let encoders: Encoders
    private let questionTokenizer: any Tokenizer
    private let passageEncoder: PassageEncoder
    /// Scores are divided by this before the softmax.
    public var temperature: Float

    /// - Throws: `RagError.dimensionMismatch` when the vectors differ in length.
    public init(
        questionEncoder: any TextEncoder, questionTokenizer: any Tokenizer,
        contextEncoder: any TextEncoder, contextTokenizer: any Tokenizer, temperature: Float = 1
    ) throws {
        guard questionEncoder.dimension == contextEncoder.dimension else {
            throw RagError.dimensionMismatch(
                question: questionEncoder.dimension, context: contextEncoder.dimension)
        }
        encoders = Encoders(questionEncoder, contextEncoder)
        self.questionTokenizer = questionTokenizer
        passageEncoder = PassageEncoder(tokenizer: contextTokenizer)
        self.temperature = temperature
    }

    public var model: Module { encoders }

    public func prepare(_ batch: [Pair]) async throws -> [Pair] { batch }

    public func loss(_ batch: [Pair]) throws -> TrainingLoss {
        let limit = encoders.question.maxTokens
        let questions = TokenBatch(
            batch.map { questionTokenizer.encode($0.question, maxLength: limit).ids })
        // A passage that answers two questions stands once, so it is never its own wrong answer.
        var columns: [Passage: Int32] = [:]
        var passages: [Passage] = []
        for pair in batch where columns[pair.passage] == nil {
            columns[pair.passage] = Int32(passages.count)
            passages.append(pair.passage)
        }
        let contexts = TokenBatch(
            passages.map { passageEncoder.ids(of: $0, for: encoders.context) })
        let scores =
            encoders.question(questions)
            .matmul(encoders.context(contexts), otherTransposed: true) / temperature
        let right = batch.map { columns[$0.passage] ?? 0 }
        return TrainingLoss(
            sum: -scores.logSoftmax().elements(at: right).sum(), weight: batch.count)
    }
}
