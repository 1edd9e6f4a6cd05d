/// The documents found for a batch of questions, ready for the generator: `documents` for each
/// question, in one order throughout.
public struct Evidence: Sendable {
    /// What was found for each question.
    public let candidates: Candidates
    /// What the generator reads: `questions · documents` sequences, a question's together.
    public let contexts: TokenBatch
    /// Scores given by the caller, or by the retriever where nothing better is known.
    let givenScores: [[Float]]?
    /// What the context encoder reads: each different passage once.
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
                lists: lists, documents: documents,
                different: lists.flatMap { $0.map(\.passage) },
                rows: (0..<contexts.count).map { Int32($0) }),
            contexts: contexts, givenScores: nil, contextEncoderInputs: contextEncoderInputs)
    }

    /// Evidence of token ids and scores that were made elsewhere.
    ///
    /// - Parameters:
    ///   - contexts: for the generator, a question's together.
    ///   - scores: of each question's documents, as many for each.
    public init(contexts: TokenBatch, scores: [[Float]]) {
        let documents = scores.first?.count ?? 0
        precondition(
            documents > 0 && scores.allSatisfy { $0.count == documents }
                && contexts.count == scores.count * documents,
            "Evidence: \(contexts.count) contexts for scores \(scores.map(\.count))")
        let unnamed = RetrievedPassage(passage: Passage(id: 0, title: "", text: ""), score: 0)
        self.init(
            candidates: Candidates(scores.map { $0.map { _ in unnamed } }), contexts: contexts,
            givenScores: scores, contextEncoderInputs: nil)
    }

    /// What was found for each question, best first; may be fewer than `documents`.
    public var passages: [[RetrievedPassage]] { candidates.lists }
    /// How many documents each question has; where fewer were found, the first stands in for the
    /// others with probability 0.
    public var documents: Int { candidates.documents }
    /// The number of questions.
    public var count: Int { candidates.count }
}

extension RagModel {
    /// The ids of each question as the question encoder reads them.
    ///
    /// - Throws: `RagError.emptyQuestion`.
    public func questionTokens(_ questions: [String]) throws -> TokenBatch {
        let limit = min(configuration.maxQuestionLength, questionEncoder.maxTokens)
        return TokenBatch(
            try questions.enumerated().map { index, question in
                guard question.contains(where: { !$0.isWhitespace }) else {
                    throw RagError.emptyQuestion(index: index)
                }
                return questionTokenizer.encode(question, maxLength: limit).ids
            })
    }

    /// The ids of each answer as the generator writes them, with special tokens.
    ///
    /// - Throws: `RagError.emptyTarget`.
    public func targetTokens(_ answers: [String]) throws -> TokenBatch {
        TokenBatch(
            try answers.enumerated().map { index, answer in
                guard answer.contains(where: { !$0.isWhitespace }) else {
                    throw RagError.emptyTarget(index: index)
                }
                return contextBuilder.target(answer, generatorSettings)
            })
    }

    /// The vectors of questions, without a tape: `[questions, dimension]`.
    ///
    /// - Throws: `RagError.emptyQuestion`.
    func constantVectors(_ questions: [String]) throws -> Tensor {
        try ForwardContext.$current.withValue(.inference) {
            questionEncoder(try questionTokens(questions))
        }
    }

    /// Finds the documents of each question, for reading without training the question encoder.
    ///
    /// - Parameter count: how many documents each; the configuration's number by default.
    /// - Throws: `RagError`, or what the retriever throws.
    public func retrieve(
        _ questions: [String], count: Int? = nil
    ) async throws -> [[RetrievedPassage]] {
        try await retrieve(
            questions, vectors: constantVectors(questions), count: count ?? configuration.nDocs)
    }

    /// Finds the documents of each question.
    ///
    /// - Parameters:
    ///   - questions: the words.
    ///   - vectors: their vectors, `[questions, dimension]`; only the values are used.
    ///   - count: how many documents each.
    /// - Throws: `RagError`, or what the retriever throws.
    public func retrieve(
        _ questions: [String], vectors: Tensor, count: Int, excluding: [Set<PassageID>]? = nil
    ) async throws -> [[RetrievedPassage]] {
        guard let retriever else { throw RagError.missingRetriever }
        let queries = RetrievalQuery.batch(questions, vectors: vectors, excluding: excluding)
        let found = try await retriever.checkedPassages(for: queries, count: count)
        for (question, list) in found.enumerated() {
            for found in list {
                guard let vector = found.vector, vector.count != questionEncoder.dimension else {
                    continue
                }
                throw RetrievalError.brokenPromise(
                    "passage \(found.passage.id) has a vector of \(vector.count) numbers, "
                        + "expected \(questionEncoder.dimension), for question \(question)")
            }
        }
        return found
    }

    /// Makes generator and context-encoder inputs from the passages of each question.
    ///
    /// - Parameters:
    ///   - passages: best first; at least one for each question.
    ///   - scores: of the caller, one for each passage; they replace every other score.
    /// - Throws: `RagError.noPassages` or `.countMismatch`; `RetrievalError.invalidCount`.
    public func evidence(
        _ questions: [String], passages: [[RetrievedPassage]], scores: [[Float]]? = nil,
        count: Int? = nil
    ) throws -> Evidence {
        guard passages.count == questions.count else {
            throw RagError.countMismatch(
                what: "passages", expected: questions.count, found: passages.count)
        }
        if let empty = passages.firstIndex(where: \.isEmpty) {
            throw RagError.noPassages(question: questions[empty])
        }
        if let scores, scores.map(\.count) != passages.map(\.count) {
            throw RagError.countMismatch(
                what: "scores", expected: passages.reduce(0) { $0 + $1.count },
                found: scores.reduce(0) { $0 + $1.count })
        }
        if let count, count < 1 { throw RetrievalError.invalidCount(count) }
        let limit = count ?? passages.map(\.count).max() ?? 0
        let candidates = Candidates(passages.map { Array($0.prefix(limit)) })
        let read = questions.map(questionForGenerator)
        let settings = generatorSettings
        let contexts = TokenBatch(
            candidates.map { contextBuilder.ids($1.passage, read[$0], settings) })
        let encoderInputs = try contextParts().map { encoder, tokenizer in
            TokenBatch(
                PassageEncoder(tokenizer: tokenizer)
                    .ids(of: candidates.different, for: encoder, foundBy: retriever))
        }
        return Evidence(
            candidates: candidates, contexts: contexts,
            givenScores: scores.map { $0.map { Array($0.prefix(limit)) } },
            contextEncoderInputs: encoderInputs)
    }

    /// The configuration without lengths that the generator cannot take.
    private var generatorSettings: RagConfiguration {
        var settings = configuration
        settings.maxCombinedLength = min(settings.maxCombinedLength, generator.maxTokens)
        settings.maxTargetLength = min(settings.maxTargetLength, generator.maxTokens)
        return settings
    }

    /// The question as the generator reads it.
    private func questionForGenerator(_ question: String) -> String {
        guard configuration.compatibility.decodesQuestionFromIDs else { return question }
        let limit = min(configuration.maxQuestionLength, questionEncoder.maxTokens)
        return questionTokenizer.decode(
            questionTokenizer.encode(question, maxLength: limit).ids)
    }

    /// The scores of each question's documents: `[questions, documents]`, about -1e30 where one is missing.
    ///
    /// The caller's scores if there are any; else products of the question's vector with what the
    /// live context encoder makes of each passage, or with the retriever's vectors; else the
    /// retriever's own scores as constants.
    ///
    /// - Parameter usesIndexVectors: takes the retriever's vectors also when there is a context
    ///   encoder.
    public func documentScores(
        _ vectors: Tensor, _ evidence: Evidence, usesIndexVectors: Bool = false
    ) throws -> Tensor {
        let candidates = evidence.candidates
        if let given = evidence.givenScores {
            let numbers = given.flatMap { list in
                (0..<candidates.documents).map { $0 < list.count ? list[$0] : 0 }
            }
            return candidates.masked(
                Tensor(numbers, shape: [candidates.count, candidates.documents]))
        }
        if let inputs = evidence.contextEncoderInputs, !usesIndexVectors,
            let encoder = try contextParts()?.encoder
        {
            if let profile = Profile.current {
                let lengths = inputs.lengths
                let found = candidates.rows.reduce(0) { $0 + lengths[Int($1)] }
                profile.add(savedTokens: found - inputs.totalTokens)
            }
            return candidates.scores(vectors, vectors: encoder(inputs))
        }
        return candidates.scores(vectors)
    }
}
