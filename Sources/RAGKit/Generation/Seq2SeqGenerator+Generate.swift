extension Seq2SeqGenerator {
    /// Decodes sequences from encoded contexts, without retrieval.
    ///
    /// - Parameters:
    ///   - attended: for each sequence to write, the contexts of `memory` it reads.
    ///   - configuration: its `prefixAllowedTokens` and processors are given a sequence's place in
    ///     `attended` as the question's number.
    /// - Returns: `numReturnSequences` hypotheses for each of them, best first.
    /// - Throws: `GenerationError`, or an error of the configuration's own functions.
    public func generate(
        _ memory: EncoderMemory, attending attended: [[Int]],
        _ configuration: GenerationConfiguration
    ) throws -> [[Hypothesis]] {
        let plan = try DecodingPlan(configuration, for: self)
        return try withInference {
            let cache = startDecoding(memory, attending: attended, maxLength: plan.maxLength)
            var scorer = GeneratorScorer(self, cache, start: plan.start)
            return try plan.search(Array(attended.indices), &scorer)
        }
    }
}
