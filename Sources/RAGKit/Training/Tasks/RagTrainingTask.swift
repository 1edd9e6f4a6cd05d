public import Foundation

/// Trains a RAG model on questions with answers, end to end when its context encoder is set.
public final class RagTrainingTask: TrainingTask {
    /// A batch with its passages found.
    public struct Prepared {
        /// The questions' vectors, recorded.
        public let vectors: Tensor
        public let evidence: Evidence
        public let targets: TokenBatch
    }

    public let rag: RagModel
    /// The examples that `evaluate` measures on; without any there is no validation.
    public var validation: [RagExample]
    public var evaluator: RagEvaluator
    public let refresher: IndexRefresher?

    /// - Parameters:
    ///   - refresh: The schedule of rebuilding the index; needs a context encoder and a
    ///     `RefreshableRetriever` unless it is `.never`.
    ///   - store: Keeps index versions on disk.
    ///   - indexKind: The kind of index to build.
    /// - Throws: `TrainingError.notRefreshable`, or `RagError` or `RetrievalError` naming what cannot
    ///   work, such as a missing call or a knowledge base without enough passages.
    public init(
        _ rag: RagModel, validation: [RagExample] = [], evaluator: RagEvaluator = RagEvaluator(),
        refresh: RefreshSchedule = .never, store: IndexStore? = nil,
        indexKind: any IndexKind = FlatIndexKind()
    ) throws {
        self.rag = rag
        self.validation = validation
        self.evaluator = evaluator
        refresher = try IndexRefresher(
            rag.retriever, schedule: refresh, store: store, kind: indexKind)
        try validate()
    }

    public var model: Module { rag }

    /// Exact match.
    public var metricForBestModel: String? { "em" }

    public func validate() throws {
        let parts = try rag.contextParts()
        guard rag.retriever != nil else { throw RagError.missingRetriever }
        if refresher != nil, parts == nil { throw RagError.missingCall("setContextEncoder(_:)") }
        if let dense = rag.retriever?.refreshable {
            let (index, base) = (dense.version.index, dense.knowledgeBase)
            guard base.count > 0 else { throw RagError.noPassages(question: "any question") }
            let wanted = rag.configuration.nDocs
            guard base.count >= wanted else {
                throw RetrievalError.tooFewPassages(wanted: wanted, found: base.count)
            }
            guard index.dimension == rag.questionEncoder.dimension else {
                throw IndexError.dimensionMismatch(
                    expected: index.dimension, found: rag.questionEncoder.dimension)
            }
        }
    }

    /// - Throws: `RagError` about the first example whose question or answer is empty, or whose
    ///   question is longer than `configuration.maxQuestionLength`: its file and line, or its number
    ///   from 0.
    public func validate(_ examples: [RagExample]) throws {
        let limit = rag.questionLimit
        for (index, example) in examples.enumerated() {
            guard example.question.contains(where: { !$0.isWhitespace }) else {
                throw RagError.emptyQuestion(index: index)
            }
            guard example.answers.first?.contains(where: { !$0.isWhitespace }) == true else {
                throw RagError.emptyTarget(index: index)
            }
            let count = rag.questionTokenizer.encode(example.question).ids.count
            guard count <= limit else {
                throw RagError.longQuestion(
                    place: example.origin ?? "example \(index)", tokens: count, limit: limit)
            }
        }
    }

    public func prepare(_ batch: [RagExample]) async throws -> Prepared {
        let questions = batch.map(\.question)
        let vectors = rag.questionEncoder(try rag.questionTokens(questions))
        let found = try await rag.retrieve(
            questions, vectors: vectors, count: rag.configuration.nDocs)
        return Prepared(
            vectors: vectors, evidence: try rag.evidence(questions, passages: found),
            targets: try rag.targetTokens(batch.map { $0.answers.first ?? "" }))
    }

    public func loss(_ prepared: Prepared) throws -> TrainingLoss {
        let loss = try rag.loss(
            vectors: prepared.vectors, evidence: prepared.evidence, targets: prepared.targets)
        return TrainingLoss(sum: loss.sum, weight: loss.targetTokens)
    }

    public func evaluate() async throws -> [String: Double] {
        guard !validation.isEmpty else { return [:] }
        return try await evaluator.scores(of: rag, on: validation).metrics
    }

    public func afterStep(
        _ step: Int, isLast: Bool, report: (TrainingEvent) throws -> Void
    ) async throws {
        guard let refresher, let (encoder, tokenizer) = try rag.contextParts() else { return }
        try await refresher.refreshIfDue(
            step: step, isLast: isLast, encoder: encoder, tokenizer: tokenizer, report: report)
    }

    public func save(in directory: URL) throws { try rag.saveFiles(in: directory) }
}
