import RAGKit

/// Fusion-in-decoder: every passage is encoded with the question by itself, and the decoder attends
/// to all of them as if they were one text.
///
/// Nothing is marginalised and passages have no scores: attention alone decides what is read. The
/// retriever stays as it is.
///
/// Source: Izacard & Grave 2020, arXiv:2007.01282.
struct FusionInDecoder {
    /// Finds passages and puts them together with questions; its generator reads them.
    let rag: RagModel

    /// The passages of each question, encoded as the generator reads them.
    func evidence(_ questions: [String]) async throws -> Evidence {
        try rag.evidence(questions, passages: await rag.retrieve(questions))
    }

    /// For each question, the contexts that its answer is read from: all of its passages.
    func attended(_ evidence: Evidence) -> [[Int]] {
        evidence.passages.enumerated().map { question, passages in
            passages.indices.map { question * evidence.documents + $0 }
        }
    }

    /// The negative log-likelihood of the answers.
    ///
    /// - Parameter targets: generator ids with special tokens, one sequence for each question.
    func loss(_ evidence: Evidence, _ targets: TokenBatch) -> TrainingLoss {
        let generator = rag.generator
        let inputs = TokenBatch(
            targets.sequences.map { [generator.tokenIDs.decoderStart] + $0.dropLast() })
        let states = generator.decode(
            inputs, generator.encode(evidence.contexts), attending: attended(evidence))
        return TrainingLoss(
            sum: -generator.projection.logProbabilities(states, targets: targets.ids).target.sum(),
            weight: targets.totalTokens)
    }

    /// The most probable answers, token by token.
    func answer(_ questions: [String]) async throws -> [String] {
        let evidence = try await evidence(questions)
        return try withInference {
            let generator = rag.generator
            let found = try generator.generate(
                generator.encode(evidence.contexts), attending: attended(evidence), rag.generation)
            return found.map { hypotheses in
                let text = rag.generatorTokenizer.decode(hypotheses.first?.tokenIDs ?? [])
                return String(text.trimmingPrefix(while: \.isWhitespace))
            }
        }
    }
}

/// Trains the generator of a fusion-in-decoder.
final class FusionTask: TrainingTask {
    let fusion: FusionInDecoder

    init(_ fusion: FusionInDecoder) { self.fusion = fusion }

    var model: Module { fusion.rag.generator }

    func prepare(
        _ batch: [RagExample]
    ) async throws -> (evidence: Evidence, targets: TokenBatch) {
        (
            try await fusion.evidence(batch.map(\.question)),
            try fusion.rag.targetTokens(batch.map { $0.answers[0] })
        )
    }

    func loss(_ batch: (evidence: Evidence, targets: TokenBatch)) throws -> TrainingLoss {
        fusion.loss(batch.evidence, batch.targets)
    }

    func validate() throws {
        guard fusion.rag.retriever != nil else { throw RagError.missingRetriever }
    }
}
