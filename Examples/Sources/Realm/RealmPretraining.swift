import RAGKit

/// Pre-trains REALM: hides a span of a text, finds passages for what is left, and fills it in.
///
/// The gradient reaches both embedders through the scores of the passages, which are computed again
/// with the live weights; the index they are found in is refreshed during training.
public final class RealmPretraining: TrainingTask {
    /// Texts with spans hidden, and the passages found for them.
    public struct Prepared {
        public let texts: [MaskedText]
        /// The texts' vectors, recorded.
        public let vectors: Tensor
        public let candidates: Candidates
    }

    public let realm: RealmModel
    public let input: RealmInput
    public let retriever: any Retriever
    private let refresher: IndexRefresher?
    public var finders: [any SpanFinder] = [NumbersAndDates(), CapitalizedRuns()]
    /// The null document is among the candidates.
    public var policy = CandidatePolicy(count: 5, includesNullDocument: true)
    public var scorer: RelevanceScorer
    public var marginalization = Marginalization.token

    /// - Throws: `TrainingError` when the retriever cannot be refreshed and should be.
    public init(
        _ realm: RealmModel, input: RealmInput, retriever: any Retriever, scorer: RelevanceScorer,
        refresh: RefreshSchedule
    ) throws {
        self.realm = realm
        self.input = input
        self.retriever = retriever
        self.scorer = scorer
        refresher = try IndexRefresher(retriever, schedule: refresh)
    }

    public var model: Module { realm }

    public func prepare(_ batch: [Chunk]) async throws -> Prepared {
        let context = ForwardContext.current
        var random = SeededGenerator(
            seed: context.seed &+ UInt64(context.step) &* 1_000_003 &+ UInt64(context.microBatch))
        let texts = batch.compactMap {
            MaskedText($0, finders: finders, input: input, using: &random)
        }
        guard !texts.isEmpty else { throw RealmError.nothingToHide }
        return try await prepare(texts)
    }

    /// Finds the candidates of texts whose spans are hidden already.
    public func prepare(
        _ texts: [MaskedText], policy: CandidatePolicy? = nil
    ) async throws -> Prepared {
        let vectors = realm.questions(TokenBatch(texts.map { input.alone($0.ids) }))
        let queries = RetrievalQueries(
            texts: texts.map { input.tokenizer.decode($0.ids) }, vectors: vectors,
            excluded: texts.map { [$0.source.id] })
        return Prepared(
            texts: texts, vectors: vectors,
            candidates: try await (policy ?? self.policy).candidates(
                for: queries, from: retriever))
    }

    public func loss(_ prepared: Prepared) throws -> TrainingLoss {
        let tokens = tokenLogProbabilities(prepared)
        let likelihoods = marginalization.logLikelihoods(
            tokens, priors: priors(prepared), offsets: offsets(prepared.texts))
        return TrainingLoss(sum: -likelihoods.sum(), weight: tokens.dim(0))
    }

    /// `log p(z | x)` by the live embedders: `[texts, documents]`.
    public func priors(_ prepared: Prepared) -> Tensor {
        let candidates = prepared.candidates
        let passages = PassageEncoder(tokenizer: input.tokenizer)
            .ids(of: candidates.uniquePassages, for: realm.passages, from: candidates.source)
        return candidates.scores(
            prepared.vectors, vectors: realm.passages(TokenBatch(passages)), by: scorer
        ).logSoftmax()
    }

    /// `log p(yₜ | z, x)`: `[hiddenTokens, documents]`.
    public func tokenLogProbabilities(_ prepared: Prepared) -> Tensor {
        realm.reader.logProbabilities(
            prepared.texts, prepared.candidates.map { $1.passage }, input)
    }

    /// The start of each text's hidden tokens, and at last their number.
    public func offsets(_ texts: [MaskedText]) -> [Int] {
        texts.reduce(into: [0]) { $0.append(($0.last ?? 0) + $1.hidden.labels.count) }
    }

    public func afterStep(
        _ step: Int, isLast: Bool, report: (TrainingEvent) throws -> Void
    ) async throws {
        try await refresher?.refreshIfDue(
            step: step, isLast: isLast, encoder: realm.passages, tokenizer: input.tokenizer,
            report: report)
    }
}
