/// The documents found for a batch of questions, ready for the generator: `documents` for each
/// question, in one order throughout.
public struct Evidence: Sendable {
    /// The passages found for each question.
    public let candidates: Candidates
    /// The generator's inputs: `questions · documents` sequences, a question's together.
    public let contexts: TokenBatch
    /// The caller's scores; nil where documents are scored by their vectors.
    let givenScores: [[Float]]?
    /// The context encoder's inputs: each different passage once.
    let contextEncoderInputs: TokenBatch?

    init(
        candidates: Candidates, contexts: TokenBatch, givenScores: [[Float]]?,
        contextEncoderInputs: TokenBatch?
    ) {
        self.candidates = candidates
        self.contexts = contexts
        self.givenScores = givenScores
        self.contextEncoderInputs = contextEncoderInputs
    }

    /// Evidence of token ids that were made elsewhere.
    ///
    /// - Parameters:
    ///   - documents: of each question.
    ///   - contexts: `questions · documents` sequences for the generator, a question's together.
    ///   - contextEncoderInputs: as many sequences for the context encoder, in the same order.
    @_spi(Benchmarks)
    public init(documents: Int, contexts: TokenBatch, contextEncoderInputs: TokenBatch) {
        precondition(
            documents > 0 && contexts.count % documents == 0
                && contextEncoderInputs.count == contexts.count,
            "Evidence: \(contexts.count) contexts and \(contextEncoderInputs.count) passages for "
                + "questions of \(documents) documents")
        let unnamed = RetrievedPassage(
            passage: Passage(id: 0, title: "", text: ""), score: 0)
        let lists = (0..<contexts.count / documents).map { _ in
            Array(repeating: unnamed, count: documents)
        }
        self.init(
            candidates: Candidates(
                lists: lists, documentsPerQuery: documents,
                uniquePassages: lists.flatMap { $0.map(\.passage) },
                passageIndices: (0..<contexts.count).map { Int32($0) }),
            contexts: contexts, givenScores: nil, contextEncoderInputs: contextEncoderInputs)
    }

    /// Evidence of token ids and scores that were made elsewhere.
    ///
    /// - Parameters:
    ///   - contexts: for the generator, a question's together.
    ///   - scores: of each question's documents, as many for each.
    @_spi(Benchmarks)
    public init(contexts: TokenBatch, scores: [[Float]]) {
        let documents = scores.first?.count ?? 0
        precondition(
            documents > 0 && scores.allSatisfy { $0.count == documents }
                && contexts.count == scores.count * documents,
            "Evidence: \(contexts.count) contexts for scores \(scores.map(\.count))")
        let unnamed = RetrievedPassage(passage: Passage(id: 0, title: "", text: ""), score: 0)
        self.init(
            candidates: Candidates(RetrievalResult(scores.map { $0.map { _ in unnamed } })),
            contexts: contexts,
            givenScores: scores, contextEncoderInputs: nil)
    }

    /// The passages found for each question, best first; may be fewer than `documents`.
    public var passages: [[RetrievedPassage]] { candidates.lists }
    /// The number of documents that each question has; where fewer were found, the first stands in for the
    /// others with probability 0.
    public var documents: Int { candidates.documentsPerQuery }
    /// The number of questions.
    public var count: Int { candidates.count }
}
