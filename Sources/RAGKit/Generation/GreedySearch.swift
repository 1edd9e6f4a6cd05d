/// Decodes rows by taking the most probable token at each place.
struct GreedySearch {
    let configuration: GenerationConfiguration
    let ids: GeneratorTokenIDs

    /// - Parameters:
    ///   - rows: how many sequences to decode.
    ///   - next: takes the newest token of each row, ended rows included, and returns the
    ///     log-probabilities of what follows, `[rows, vocabulary]`.
    /// - Returns: the sequences, each with its start token and, if it ended, its end token.
    func decode(rows: Int, next: ([Int32]) throws -> Tensor) rethrows -> [[Int32]] {
        let processors = configuration.processors(ids)
        var sequences = [[Int32]](repeating: [ids.decoderStart], count: rows)
        var isOpen = [Bool](repeating: true, count: rows)
        for _ in 1..<max(1, configuration.maxLength) where isOpen.contains(true) {
            let newest = zip(sequences, isOpen).map { $1 ? $0[$0.count - 1] : ids.pad }
            let scores = try next(newest).detached.owned()
            let vocabulary = scores.dim(1)
            for row in 0..<rows where isOpen[row] {
                let buffer = UnsafeMutableBufferPointer(
                    start: scores.writablePointer + row * vocabulary, count: vocabulary)
                for processor in processors { processor.process(buffer, after: sequences[row]) }
            }
            let best = scores.maxIndices()
            for row in 0..<rows where isOpen[row] {
                sequences[row].append(best[row])
                isOpen[row] = best[row] != ids.eos
            }
        }
        return sequences
    }
}

extension Seq2SeqGenerator {
    /// Decodes one sequence for each row by taking the most probable token at each place.
    ///
    /// - Parameters:
    ///   - attended: for each row, the contexts of `memory` it reads.
    /// - Returns: ids with the start token and, where the row ended, the end token.
    public func greedy(
        _ memory: EncoderMemory, attending attended: [[Int]],
        _ configuration: GenerationConfiguration
    ) -> [[Int32]] {
        let capacity = max(1, configuration.maxLength)
        var cache = startDecoding(memory, attending: attended, maxLength: capacity)
        return GreedySearch(configuration: configuration, ids: tokenIDs).decode(
            rows: attended.count
        ) { nextLogProbabilities($0, &cache) }
    }
}
