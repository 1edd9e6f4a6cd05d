extension RagModel {
    /// The number of a question's tokens that are read.
    var questionLimit: Int {
        min(configuration.maxQuestionLength, questionEncoder.maxTokens ?? .max)
    }

    /// The ids of each question as the question encoder reads them.
    ///
    /// - Throws: `RagError.emptyQuestion`.
    public func questionTokens(_ questions: [String]) throws -> TokenBatch {
        let limit = questionLimit
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
        try withInference {
            questionEncoder(try questionTokens(questions))
        }
    }

    /// Finds the documents of each question, for reading without training the question encoder.
    ///
    /// - Parameter count: The number of documents each; the configuration's number by default.
    /// - Throws: `RagError`, or what the retriever throws.
    public func retrieve(
        _ questions: [String], count: Int? = nil
    ) async throws -> RetrievalResult {
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
    ) async throws -> RetrievalResult {
        guard let retriever else { throw RagError.missingRetriever }
        let queries = RetrievalQueries(texts: questions, vectors: vectors, excluded: excluding)
        let found = try await retriever.checkedResult(for: queries, count: count)
        if let vectors = found.vectors?.vectors, vectors.dim(1) != questionEncoder.dimension {
            throw RetrievalError.contractViolation(
                "passages have vectors of \(vectors.dim(1)) numbers, expected "
                    + "\(questionEncoder.dimension)")
        }
        return found
    }

    /// Makes generator and context-encoder inputs from the passages of each question.
    ///
    /// - Parameters:
    ///   - result: The passages, best first; at least one for each question.
    ///   - scores: The caller's scores, one for each passage; they replace every other score.
    /// - Throws: `RagError.noPassages` or `.countMismatch`; `IndexError.invalidCount`.
    public func evidence(
        _ questions: [String], passages result: RetrievalResult, scores: [[Float]]? = nil,
        count: Int? = nil
    ) throws -> Evidence {
        let passages = result.passages
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
        if let count, count < 1 { throw IndexError.invalidCount(count) }
        let limit = count ?? passages.map(\.count).max() ?? 0
        let candidates = Candidates(result.prefix(limit))
        let read = questions.map(questionForGenerator)
        let settings = generatorSettings
        let contexts = TokenBatch(
            candidates.map { contextBuilder.ids($1.passage, read[$0], settings) })
        let encoderInputs = try contextParts().map { encoder, tokenizer in
            TokenBatch(
                PassageEncoder(tokenizer: tokenizer)
                    .ids(of: candidates.uniquePassages, for: encoder, from: candidates.source))
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
        return questionTokenizer.decode(
            questionTokenizer.encode(question, maxLength: questionLimit).ids)
    }
}
