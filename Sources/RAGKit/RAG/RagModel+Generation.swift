/// An answer, and what it rests on.
public struct RagAnswer: Sendable {
    /// A passage behind an answer.
    public struct Source: Sendable {
        public var passage: Passage
        /// The score that the question gave it.
        public var score: Float
        /// Its probability given the question, among the documents found.
        public var prior: Float
        /// Its probability given the question and the answer.
        public var posterior: Float
    }

    public var question: String
    public var text: String
    /// The generator's ids, with start and end token.
    public var tokenIDs: [Int32]
    /// The answer's log-probability given the question, in nats.
    public var logProbability: Float
    /// The documents it was made from, in the order found.
    public var sources: [Source]
}

extension RagModel {
    /// Answers questions in words.
    ///
    /// - Parameters:
    ///   - count: how many documents; the configuration's number by default.
    ///   - passages: the caller's own, instead of the retriever's, one list for each question.
    ///   - scores: of the caller's passages; without them they are scored as documents always are.
    /// - Throws: `RagError`, or what the retriever throws.
    public func answer(
        _ questions: [String], count: Int? = nil, passages: [[RetrievedPassage]]? = nil,
        scores: [[Float]]? = nil, generation: GenerationConfiguration? = nil
    ) async throws -> [RagAnswer] {
        guard !questions.isEmpty else { return [] }
        let task = try await generationTask(
            questions, count: count, passages: passages, scores: scores)
        return try ForwardContext.$current.withValue(.inference) {
            let sequences = try decode(task, generation ?? self.generation)
            return try describe(sequences, task)
        }
    }

    /// Generates the ids of answers, with start and end tokens; parameters as for `answer`.
    public func generate(
        _ questions: [String], count: Int? = nil, passages: [[RetrievedPassage]]? = nil,
        scores: [[Float]]? = nil, generation: GenerationConfiguration? = nil
    ) async throws -> [[Int32]] {
        guard !questions.isEmpty else { return [] }
        let task = try await generationTask(
            questions, count: count, passages: passages, scores: scores)
        return try ForwardContext.$current.withValue(.inference) {
            try decode(task, generation ?? self.generation)
        }
    }

    /// Everything decoding needs: documents found, scored and encoded.
    private struct GenerationTask {
        let questions: [String]
        let evidence: Evidence
        /// `[questions, documents]`.
        let scores: Tensor
        /// Scores by the live context encoder, which RAG-sequence ranks its candidates with.
        let liveScores: Tensor
        let memory: EncoderMemory
    }

    private func generationTask(
        _ questions: [String], count: Int?, passages: [[RetrievedPassage]]?, scores: [[Float]]?
    ) async throws -> GenerationTask {
        let vectors = try ForwardContext.$current.withValue(.inference) {
            questionEncoder(try questionTokens(questions))
        }
        let wanted = count ?? configuration.nDocs
        let found: [[RetrievedPassage]]
        if let passages {
            found = passages
        } else {
            found = try await retrieve(questions, vectors: vectors, count: wanted)
        }
        let limit = count ?? (passages == nil ? wanted : nil)
        let evidence = try evidence(questions, passages: found, scores: scores, count: limit)
        return try ForwardContext.$current.withValue(.inference) {
            let live = try documentScores(vectors, evidence)
            let generates = configuration.compatibility.generatesWithIndexVectors
            return GenerationTask(
                questions: questions, evidence: evidence,
                scores: generates
                    ? try documentScores(vectors, evidence, usesIndexVectors: true) : live,
                liveScores: live, memory: generator.encode(evidence.contexts))
        }
    }

    private func decode(
        _ task: GenerationTask, _ settings: GenerationConfiguration
    ) throws -> [[Int32]] {
        var settings = settings
        // The last token of a sequence is never read.
        settings.maxLength = min(settings.maxLength, generator.maxTokens + 1)
        switch configuration.marginalization {
        case .token: return greedyByToken(generator, task, settings)
        case .sequence:
            let rows = (0..<task.memory.count).map { [$0] }
            let candidates = generator.greedy(task.memory, attending: rows, settings)
            return try bestBySequence(candidates, task)
        }
    }

    /// RAG-token: at each place, the most probable token after marginalizing over the documents.
    private func greedyByToken<Generator: Seq2SeqGenerator>(
        _ generator: Generator, _ task: GenerationTask, _ settings: GenerationConfiguration
    ) -> [[Int32]] {
        let (questions, documents) = (task.evidence.count, task.evidence.documents)
        let priors = task.scores.logSoftmax().reshaped([questions * documents, 1])
        var cache = generator.startDecoding(
            task.memory, attending: (0..<task.memory.count).map { [$0] },
            maxLength: max(1, settings.maxLength))
        let search = GreedySearch(configuration: settings, ids: generator.tokenIDs)
        return search.decode(rows: questions) { newest in
            let repeated = newest.flatMap { repeatElement($0, count: documents) }
            let byDocument = generator.nextLogProbabilities(repeated, &cache) + priors
            return byDocument.reshaped([questions, documents, generator.vocabularySize])
                .logSumExp(axis: 1)
        }
    }

    /// RAG-sequence's thorough decoding: of each question's candidates, one from each document, the
    /// most probable one given all documents.
    private func bestBySequence(
        _ candidates: [[Int32]], _ task: GenerationTask
    ) throws -> [[Int32]] {
        let documents = task.evidence.documents
        var kept: [[Int32]] = []
        var questionOf: [Int] = []
        for question in 0..<task.evidence.count {
            var seen: Set<[Int32]> = []
            for document in 0..<documents {
                let candidate = candidates[question * documents + document]
                guard seen.insert(candidate).inserted || !configuration.doDeduplication else {
                    continue
                }
                kept.append(candidate)
                questionOf.append(question)
            }
        }
        let compatibility = configuration.compatibility
        let losses = try candidateLoss(
            kept, questionOf, task.liveScores, task.memory,
            smoothing: compatibility.ranksBySmoothedLoss ? configuration.labelSmoothing : 0,
            bosGroups: questionOf
        ).perExample.elements
        return (0..<task.evidence.count).map { question in
            let own = kept.indices.filter { questionOf[$0] == question }
            let best = own.min { (losses[$0], $0) < (losses[$1], $1) }
            return best.map { kept[$0] } ?? []
        }
    }

    /// The loss of sequences that were decoded, start token included.
    private func candidateLoss(
        _ sequences: [[Int32]], _ questionOf: [Int], _ scores: Tensor, _ memory: EncoderMemory,
        smoothing: Float, bosGroups: [Int]? = nil
    ) throws -> RagLoss {
        // A sequence that is only its start token has nothing to score but its end.
        let scorable = sequences.map { $0.count > 1 ? $0 : $0 + [generator.tokenIDs.eos] }
        return try loss(
            scores: scores.rows(questionOf.map { Int32($0) }), memory: memory,
            decoding: DecodingTargets(
                TokenBatch(scorable), start: nil, pad: generator.tokenIDs.pad),
            questionOfTarget: questionOf, smoothing: smoothing, bosGroups: bosGroups)
    }

    private func describe(_ sequences: [[Int32]], _ task: GenerationTask) throws -> [RagAnswer] {
        let loss = try candidateLoss(
            sequences, Array(0..<task.evidence.count), task.scores, task.memory, smoothing: 0)
        let priors = task.scores.softmax()
        let posteriors = loss.logPosteriors.softmax()
        let documents = task.evidence.documents
        return task.questions.indices.map { question in
            let sources = task.evidence.passages[question].indices.map { document in
                let place = question * documents + document
                return RagAnswer.Source(
                    passage: task.evidence.passages[question][document].passage,
                    score: task.scores.elements[place], prior: priors.elements[place],
                    posterior: posteriors.elements[place])
            }
            let text = generatorTokenizer.decode(sequences[question])
            return RagAnswer(
                question: task.questions[question],
                text: String(text.trimmingPrefix { $0.isWhitespace }),
                tokenIDs: sequences[question], logProbability: -loss.perExample.elements[question],
                sources: sources)
        }
    }
}
