extension Seq2SeqGenerator {
    /// Decodes sequences from encoded contexts, without retrieval.
    ///
    /// - Parameters:
    ///   - attended: for each sequence to write, the contexts of `memory` it reads.
    ///   - configuration: `prefixAllowedTokens` and processors are told a sequence's place in
    ///     `attended` as the question.
    /// - Returns: for each of them `numReturnSequences` hypotheses, best first.
    /// - Throws: `GenerationError`, or what the configuration's own functions throw.
    public func generate(
        _ memory: EncoderMemory, attending attended: [[Int]],
        _ configuration: GenerationConfiguration
    ) throws -> [[Hypothesis]] {
        let plan = try DecodingPlan(configuration, for: self)
        return try ForwardContext.$current.withValue(.inference) {
            let cache = startDecoding(memory, attending: attended, maxLength: plan.maxLength)
            var scorer = GeneratorScorer(self, cache, start: plan.start)
            return try plan.search(Array(attended.indices), &scorer)
        }
    }
}
