/// The settings of generation for one generator, with its lengths, ids and processors filled in.
struct DecodingPlan {
    let settings: GenerationConfiguration
    /// The token that every sequence begins with.
    let start: Int32
    let eos: [Int32]
    /// The length of the longest sequence, the start token included.
    let maxLength: Int
    /// The processors in the reference's order.
    let processors: [any LogitsProcessor]

    /// - Parameters:
    ///   - ids: the generator's own.
    ///   - longest: the length of the longest sequence that the generator can write, start token
    ///     included.
    /// - Throws: `GenerationError.invalidSetting`.
    init(_ settings: GenerationConfiguration, _ ids: GeneratorTokenIDs, longest: Int) throws {
        try settings.validate()
        self.settings = settings
        start = settings.decoderStartTokenID ?? ids.decoderStart
        eos = settings.eosTokenIDs ?? [ids.eos]
        let wanted = settings.maxNewTokens.map { 1 + min($0, longest) } ?? settings.maxLength
        maxLength = max(1, min(wanted, longest))
        processors = Self.processors(settings, eos: eos, maxLength: maxLength)
    }

    /// The plan for a generator. The last token of a sequence is never read, so a sequence may be
    /// one token longer than the generator's inputs.
    ///
    /// - Throws: `GenerationError.invalidSetting`, also for ids that the generator has no embedding
    ///   for.
    init(_ settings: GenerationConfiguration, for generator: some Seq2SeqGenerator) throws {
        try self.init(settings, generator.tokenIDs, longest: generator.maxTokens + 1)
        let known = 0..<generator.vocabularySize
        for (name, ids) in [("decoderStartTokenID", [start]), ("eosTokenIDs", eos)] {
            for id in ids where !known.contains(Int(id)) {
                throw GenerationError.invalidSetting(
                    name: name, value: "\(id)", expected: "ids below \(known.upperBound)")
            }
        }
    }

    private static func processors(
        _ settings: GenerationConfiguration, eos: [Int32], maxLength: Int
    ) -> [any LogitsProcessor] {
        var list: [any LogitsProcessor] = []
        if settings.repetitionPenalty != 1 {
            list.append(RepetitionPenalty(penalty: settings.repetitionPenalty))
        }
        if settings.noRepeatNgramSize > 0 {
            list.append(NoRepeatNgram(size: settings.noRepeatNgramSize))
        }
        if !settings.badWordsIDs.isEmpty {
            list.append(BadWords(settings.badWordsIDs, eos: eos))
        }
        if settings.minLength > 0 { list.append(MinLength(settings.minLength, eos: eos)) }
        if let tokens = settings.minNewTokens, tokens > 0 {
            list.append(MinLength(1 + tokens, eos: eos))
        }
        if let allowed = settings.prefixAllowedTokens {
            list.append(PrefixConstraint(allowed: allowed))
        }
        if let token = settings.forcedBosTokenID { list.append(ForcedToken(token, atLength: 1)) }
        if let token = settings.forcedEosTokenID {
            list.append(ForcedToken(token, atLength: maxLength - 1))
        }
        list += settings.processors
        guard settings.doSample else { return list }
        // A beam needs a token besides the end to continue with.
        let minimum = settings.numBeams > 1 ? 1 + eos.count : 1
        if settings.temperature != 1 {
            list.append(Temperature(temperature: settings.temperature))
        }
        if let count = settings.topK { list.append(TopK(count: max(count, minimum))) }
        if settings.topP < 1 { list.append(TopP(share: settings.topP, minimum: minimum)) }
        return list
    }

    /// Decodes with as many beams as the settings ask for.
    ///
    /// - Parameter questions: the question's number for each group of the scorer.
    /// - Returns: for each group `numReturnSequences` hypotheses, best first.
    func search(
        _ questions: [Int], _ scorer: inout some TokenScorer, progress: ProgressHandler? = nil
    ) throws -> [[Hypothesis]] {
        settings.numBeams > 1
            ? try BeamSearch(plan: self).run(
                groups: questions.count, questions: questions, &scorer, progress: progress)
            : try GreedySearch(plan: self).run(
                groups: questions.count, questions: questions, &scorer, progress: progress)
    }

    /// Applies all processors to the scores `[sequences, vocabulary]` that follow `sequences`.
    func process(_ scores: Tensor, after sequences: [[Int32]], of questions: [Int]) throws {
        guard !processors.isEmpty else { return }
        let vocabulary = scores.dim(1)
        for (row, sequence) in sequences.enumerated() {
            let buffer = UnsafeMutableBufferPointer(
                start: scores.writablePointer + row * vocabulary, count: vocabulary)
            for processor in processors {
                try processor.process(buffer, after: sequence, question: questions[row])
            }
        }
    }
}

/// The settled part of a sequence that is being decoded.
struct DecodingProgress {
    /// The number of the question, or of the context where contexts are decoded alone.
    let group: Int
    /// The tokens that will not change any more, the start token included.
    let settled: [Int32]
    /// Each document's share in the leading sequence so far; `nil` without documents.
    let posterior: [Float]?
}

/// A function that is told of progress; an error thrown by it stops the search.
typealias ProgressHandler = (DecodingProgress) throws -> Void
