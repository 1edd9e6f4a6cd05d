extension RagModel {
    /// Answers questions in words.
    ///
    /// - Parameters:
    ///   - count: how many documents; the configuration's number by default.
    ///   - passages: the caller's own, instead of the retriever's, one list for each question.
    ///   - scores: of the caller's passages; without them they are scored as documents always are.
    ///   - generation: how to decode; as the model's `generation` says by default.
    /// - Throws: `RagError`, `GenerationError`, or what the retriever throws.
    public func answer(
        _ questions: [String], count: Int? = nil, passages: RetrievalResult? = nil,
        scores: [[Float]]? = nil, generation: GenerationConfiguration? = nil
    ) async throws -> [RagAnswer] {
        guard !questions.isEmpty else { return [] }
        let task = try await generationTask(
            questions, count: count, passages: passages, scores: scores)
        return try withInference {
            let decoder = try decoder(task, generation ?? self.generation)
            return try decoder.answers(decoder.hypotheses(progress: nil))
        }
    }

    /// Generates the ids of answers, with start and end tokens; parameters as for `answer`.
    ///
    /// - Returns: one sequence for each question. Where `numReturnSequences` asks for more, a
    ///   question's sequences are together, best first; `hypotheses` tells them apart.
    public func generate(
        _ questions: [String], count: Int? = nil, passages: RetrievalResult? = nil,
        scores: [[Float]]? = nil, generation: GenerationConfiguration? = nil
    ) async throws -> [[Int32]] {
        try await hypotheses(
            questions, count: count, passages: passages, scores: scores, generation: generation
        ).flatMap { $0.map(\.tokenIDs) }
    }

    /// Generates answers as ids with their scores; parameters as for `answer`.
    ///
    /// - Returns: for each question `numReturnSequences` hypotheses, best first; fewer where
    ///   RAG-sequence has fewer different candidates.
    public func hypotheses(
        _ questions: [String], count: Int? = nil, passages: RetrievalResult? = nil,
        scores: [[Float]]? = nil, generation: GenerationConfiguration? = nil
    ) async throws -> [[Hypothesis]] {
        guard !questions.isEmpty else { return [] }
        let task = try await generationTask(
            questions, count: count, passages: passages, scores: scores)
        return try withInference {
            try decoder(task, generation ?? self.generation).hypotheses(progress: nil)
        }
    }

    /// Generates answers from documents that were found before.
    ///
    /// - Parameters:
    ///   - vectors: of the questions, `[questions, dimension]`.
    ///   - evidence: the documents of the same questions.
    ///   - generation: how to decode; as the model's `generation` says by default.
    /// - Returns: as the other `hypotheses`.
    /// - Throws: `RagError`, `GenerationError`.
    public func hypotheses(
        vectors: Tensor, evidence: Evidence, generation: GenerationConfiguration? = nil
    ) throws -> [[Hypothesis]] {
        guard evidence.count > 0 else { return [] }
        return try withInference {
            let questions = Array(repeating: "", count: evidence.count)
            let task = try generationTask(questions, vectors, evidence)
            return try decoder(task, generation ?? self.generation).hypotheses(progress: nil)
        }
    }

    /// Finds, scores and encodes the documents of questions.
    func generationTask(
        _ questions: [String], count: Int?, passages: RetrievalResult?, scores: [[Float]]?
    ) async throws -> GenerationTask {
        let vectors = try constantVectors(questions)
        let wanted = count ?? configuration.nDocs
        let found: RetrievalResult
        if let passages {
            found = passages
        } else {
            found = try await retrieve(questions, vectors: vectors, count: wanted)
        }
        let limit = count ?? (passages == nil ? wanted : nil)
        let evidence = try evidence(questions, passages: found, scores: scores, count: limit)
        return try withInference {
            try generationTask(questions, vectors, evidence)
        }
    }

    /// Scores and encodes documents.
    private func generationTask(
        _ questions: [String], _ vectors: Tensor, _ evidence: Evidence
    ) throws -> GenerationTask {
        let live = try documentScores(vectors, evidence)
        let generates = configuration.compatibility.generatesWithIndexVectors
        return GenerationTask(
            questions: questions, evidence: evidence,
            scores: generates
                ? try documentScores(vectors, evidence, usesIndexVectors: true) : live,
            liveScores: live, memory: generator.encode(evidence.contexts))
    }

    /// A decoder of a task for the model's generator, whatever its type.
    func decoder(
        _ task: GenerationTask, _ settings: GenerationConfiguration
    ) throws -> any RagDecoding {
        func open<Generator: Seq2SeqGenerator>(_ generator: Generator) throws -> any RagDecoding {
            try RagDecoder(self, generator, task, settings)
        }
        return try open(generator)
    }
}

/// Everything decoding needs: documents found, scored and encoded.
struct GenerationTask {
    let questions: [String]
    let evidence: Evidence
    /// `[questions, documents]`.
    let scores: Tensor
    /// Scores by the live context encoder, which RAG-sequence ranks its candidates with.
    let liveScores: Tensor
    let memory: EncoderMemory
}
