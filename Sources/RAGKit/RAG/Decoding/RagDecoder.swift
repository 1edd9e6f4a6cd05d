/// Decodes the answers of a task.
protocol RagDecoding {
    /// For each question its best sequences, best first.
    ///
    /// - Parameter progress: is told what is settled, where anything is before the end: RAG-sequence
    ///   compares whole candidates.
    func hypotheses(progress: ProgressHandler?) throws -> [[Hypothesis]]
    /// Words, probabilities and sources of hypotheses.
    func answers(_ hypotheses: [[Hypothesis]]) throws -> [RagAnswer]
    /// A question's documents with the given shares in an answer.
    func sources(_ question: Int, posteriors: ArraySlice<Float>) -> [RagAnswer.Source]
}

/// Decoding with one type of generator.
///
/// Contexts are encoded once, and what the decoder's cross-attention makes of them is made once, for
/// all beams and for the comparison of candidates.
struct RagDecoder<Generator: Seq2SeqGenerator>: RagDecoding {
    let model: RagModel
    let generator: Generator
    let task: GenerationTask
    let plan: DecodingPlan
    /// One row for each question and document, with nothing decoded yet.
    let cache: Generator.Cache
    /// The most sequences returned for a question.
    let returned: Int

    init(
        _ model: RagModel, _ generator: Generator, _ task: GenerationTask,
        _ settings: GenerationConfiguration
    ) throws {
        self.model = model
        self.generator = generator
        self.task = task
        returned = settings.numReturnSequences
        var settings = settings
        if model.configuration.marginalization == .sequence {
            // Of each document all beams are candidates.
            guard returned >= 1 else {
                throw GenerationError.invalidSetting(
                    name: "numReturnSequences", value: "\(returned)", expected: "at least 1")
            }
            settings.numReturnSequences = settings.numBeams
        }
        plan = try DecodingPlan(settings, for: generator)
        cache = generator.startDecoding(
            task.memory, attending: (0..<task.memory.count).map { [$0] },
            maxLength: plan.maxLength)
    }

    var documents: Int { task.evidence.documents }

    func hypotheses(progress: ProgressHandler?) throws -> [[Hypothesis]] {
        switch model.configuration.marginalization {
        case .token:
            var scorer = MarginalScorer(
                generator, cache, priors: task.scores.logSoftmax(), start: plan.start)
            return try plan.search(
                Array(0..<task.evidence.count), &scorer, progress: progress)
        case .sequence:
            var scorer = GeneratorScorer(generator, cache, start: plan.start)
            let byContext = try plan.search(
                (0..<task.memory.count).map { $0 / documents }, &scorer)
            return try best(candidates(byContext))
        }
    }

    /// The loss of sequences that were decoded, start token included, given all documents.
    ///
    /// - Parameters:
    ///   - questions: of each sequence, ascending.
    ///   - scores: `[questions, documents]`.
    func loss(
        _ sequences: [[Int32]], _ questions: [Int], _ scores: Tensor, smoothing: Float,
        bosGroups: [Int]?
    ) throws -> RagLoss {
        // A sequence that is only its start token has nothing to score but its end.
        let scorable = sequences.map { $0.count > 1 ? $0 : $0 + [plan.eos[0]] }
        func targets(_ range: Range<Int>) throws -> DecodingTargets {
            try DecodingTargets(
                TokenBatch(Array(scorable[range])), start: nil, pad: generator.tokenIDs.pad)
        }
        var (target, total): ([Tensor], [Tensor]) = ([], [])
        for range in chunks(questions) {
            let picked = try CandidateTree(
                targets(range), questions: Array(questions[range])
            ).logProbabilities(
                generator, cache, documents: documents, includingTotal: smoothing > 0)
            target.append(picked.target)
            if let sums = picked.total { total.append(sums) }
        }
        return model.pickedLoss(
            picked: TokenLogProbabilities(
                target: .concatenated(target), total: total.isEmpty ? nil : .concatenated(total)),
            scores: scores.rows(questions.map { Int32($0) }),
            decoding: try targets(scorable.indices), smoothing: smoothing, bosGroups: bosGroups)
    }

    /// Ranges of sequences that are scored together: whole questions, as many as a bounded number of
    /// decoder rows holds.
    private func chunks(_ questions: [Int]) -> [Range<Int>] {
        let most = max(1, 1024 / max(1, documents))
        var ranges: [Range<Int>] = []
        var start = 0
        for index in questions.indices
        where index + 1 == questions.count
            || questions[index + 1] != questions[index]
        {
            if let last = ranges.last, index + 1 - last.lowerBound <= most {
                ranges[ranges.count - 1] = last.lowerBound..<index + 1
            } else {
                ranges.append(start..<index + 1)
            }
            start = index + 1
        }
        return ranges
    }

    func answers(_ hypotheses: [[Hypothesis]]) throws -> [RagAnswer] {
        let questions = hypotheses.enumerated().flatMap { question, list in
            list.map { _ in question }
        }
        let all = hypotheses.flatMap { $0 }
        let loss = try loss(
            all.map(\.tokenIDs), questions, task.scores, smoothing: 0, bosGroups: nil)
        let posteriors = loss.logPosteriors.softmax().elements
        let losses = loss.perExample.elements
        var next = 0
        return hypotheses.enumerated().map { question, list in
            var answers = list.map { hypothesis in
                defer { next += 1 }
                return RagAnswer(
                    question: task.questions[question], text: text(hypothesis.tokenIDs),
                    tokenIDs: hypothesis.tokenIDs, logProbability: -losses[next],
                    score: hypothesis.score,
                    sources: sources(
                        question, posteriors: posteriors[next * documents..<(next + 1) * documents])
                )
            }
            var best = answers.removeFirst()
            best.alternatives = answers
            return best
        }
    }

    private func text(_ ids: [Int32]) -> String {
        String(model.generatorTokenizer.decode(ids).trimmingPrefix { $0.isWhitespace })
    }

    func sources(_ question: Int, posteriors: ArraySlice<Float>) -> [RagAnswer.Source] {
        let scores = task.scores.slice(question..<question + 1)
        let priors = scores.softmax().elements
        return task.evidence.passages[question].indices.map { document in
            RagAnswer.Source(
                passage: task.evidence.passages[question][document].passage,
                score: scores.elements[document], prior: priors[document],
                posterior: posteriors[posteriors.startIndex + document])
        }
    }
}
