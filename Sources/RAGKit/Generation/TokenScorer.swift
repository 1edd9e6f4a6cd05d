/// Scores of the next tokens of sequences that are decoded side by side.
///
/// Rows belong to groups, such as the beams of a question. A group's rows are together, and all
/// groups have equally many. At first each group has one row, which begins with the start token.
protocol TokenScorer {
    /// The scores of what follows each row, `[rows, vocabulary]`; the caller may write into it.
    mutating func scores() -> Tensor
    /// Lets row `i` continue row `parents[i]` by `tokens[i]`.
    ///
    /// There may be more or fewer rows and groups than before; a group's rows continue rows of one
    /// group.
    ///
    /// - Parameter rowsPerGroup: the number of rows in a group from now on.
    mutating func choose(_ tokens: [Int32], continuing parents: [Int32], rowsPerGroup: Int)
    /// Each document's share in `row` continued by `token`, by the scores last returned; `nil`
    /// unless rows are decoded from several documents.
    func documentPosterior(row: Int, token: Int32) -> [Float]?
}

/// Logits of a generator alone, each row reading its own contexts.
struct GeneratorScorer<Generator: Seq2SeqGenerator>: TokenScorer {
    let generator: Generator
    private var cache: Generator.Cache
    private var pending: [Int32]

    /// - Parameter cache: with one row for each group, nothing decoded yet.
    init(_ generator: Generator, _ cache: Generator.Cache, start: Int32) {
        self.generator = generator
        self.cache = cache
        pending = Array(repeating: start, count: cache.rowCount)
    }

    mutating func scores() -> Tensor {
        generator.projection.logits(generator.step(pending, &cache)).detached.owned()
    }

    mutating func choose(_ tokens: [Int32], continuing parents: [Int32], rowsPerGroup: Int) {
        cache.reorder(parents)
        pending = tokens
    }

    func documentPosterior(row: Int, token: Int32) -> [Float]? { nil }
}
