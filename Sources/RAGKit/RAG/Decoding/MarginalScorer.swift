import RAGKitBLAS

/// RAG-token's scores: log-probabilities of the next token after marginalizing over the documents of
/// each row's question.
///
/// The generator's rows lie in the order question, document, beam, so that the beams that read one
/// document are neighbours and share one pass over its keys.
struct MarginalScorer<Generator: Seq2SeqGenerator>: TokenScorer {
    let generator: Generator
    let documents: Int
    private var cache: Generator.Cache
    private var pending: [Int32]
    private var rowsPerGroup = 1
    /// Log-probabilities of each group's documents: `groups · documents`.
    private var priors: [Float]
    /// The log-probability of what each generator row has written, given its document.
    private var written: [Float]
    /// The logits last asked for, and the log of the sum of each row's exponentials.
    private var logits = Tensor.zeros([0, 0])
    private var sums: [Float] = []

    /// - Parameters:
    ///   - cache: with one row for each question and document, nothing decoded yet.
    ///   - priors: `[questions, documents]` log-probabilities.
    init(_ generator: Generator, _ cache: Generator.Cache, priors: Tensor, start: Int32) {
        self.generator = generator
        self.cache = cache
        self.priors = priors.elements
        documents = priors.dim(1)
        pending = Array(repeating: start, count: priors.dim(0))
        written = Array(repeating: 0, count: priors.count)
    }

    private var groups: Int { documents == 0 ? 0 : priors.count / documents }

    /// The generator's row of document `document` for the scorer's row `row`.
    private func place(_ row: Int, _ document: Int, _ rowsPerGroup: Int) -> Int {
        (row / rowsPerGroup * documents + document) * rowsPerGroup + row % rowsPerGroup
    }

    /// The rows of all documents in the generator's order, made from one value for each row.
    private func spread<Value>(_ value: (_ row: Int, _ document: Int) -> Value) -> [Value] {
        (0..<groups).flatMap { group in
            (0..<documents).flatMap { document in
                (0..<rowsPerGroup).map { value(group * rowsPerGroup + $0, document) }
            }
        }
    }

    mutating func scores() -> Tensor {
        let tokens = spread { row, _ in pending[row] }
        logits = generator.projection.logits(generator.step(tokens, &cache)).detached
        sums = Array(repeating: 0, count: tokens.count)
        return Tensor(shape: [pending.count, logits.dim(1)]) { result in
            ragkit_marginal_log_probabilities(
                groups, documents, rowsPerGroup, logits.dim(1), logits.pointer, priors, &sums,
                result)
        }
    }

    mutating func choose(_ tokens: [Int32], continuing parents: [Int32], rowsPerGroup: Int) {
        let before = self.rowsPerGroup
        self.rowsPerGroup = rowsPerGroup
        // A group's rows continue rows of one group, whose documents they keep.
        let sources = stride(from: 0, to: parents.count, by: rowsPerGroup).map {
            Int(parents[$0]) / before
        }
        priors = sources.flatMap { priors[$0 * documents..<($0 + 1) * documents] }
        pending = tokens
        let places = spread { row, document in place(Int(parents[row]), document, before) }
        let chosen = spread { row, _ in tokens[row] }
        written = zip(places, chosen).map { logProbability(ofRow: $0, token: $1) }
        cache.reorder(places.map { Int32($0) })
    }

    /// The tokens that a generator row has written, and `token` after them.
    private func logProbability(ofRow row: Int, token: Int32) -> Float {
        // Before the first step there are no scores, and the start token is certain.
        guard row < sums.count else { return written[row] }
        return written[row] + logits.pointer[row * logits.dim(1) + Int(token)] - sums[row]
    }

    func documentPosterior(row: Int, token: Int32) -> [Float]? {
        let group = row / rowsPerGroup
        let joint = (0..<documents).map { document in
            priors[group * documents + document]
                + logProbability(ofRow: place(row, document, rowsPerGroup), token: token)
        }
        return Tensor(joint, shape: [documents]).softmax().elements
    }
}
