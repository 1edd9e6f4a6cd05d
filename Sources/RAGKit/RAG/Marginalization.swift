/// The way in which the documents' probabilities enter the likelihood of a target.
public enum Marginalization: String, Sendable {
    /// Each token may come from another document: RAG-token.
    case token
    /// One document is behind the whole target: RAG-sequence.
    case sequence

    /// The log-likelihood of each query's target, `log p(y | x)`, in nats.
    ///
    /// Per token it is `Σₜ log Σⱼ p(j) p(yₜ | j)`, per sequence `log Σⱼ p(j) Πₜ p(yₜ | j)`. Its
    /// gradient to the score behind `p(j)` is `(p(y | j) / p(y) - 1) p(j)`, summed over tokens in
    /// the first case: documents that make the target likelier than the mean of all gain.
    ///
    /// - Parameters:
    ///   - tokens: the log-probability of each target token given each document,
    ///     `[targetTokens, documents]`, a query's tokens together.
    ///   - priors: log-probabilities of the documents, `[queries, documents]`.
    ///   - offsets: where each query's tokens begin, and at last their number.
    /// - Returns: `[queries]`; 0 for a query without tokens.
    ///
    /// Source: Lewis et al. 2020, arXiv:2005.11401, section 2.1; Guu et al. 2020, arXiv:2002.08909,
    /// section 3.1.
    public func logLikelihoods(_ tokens: Tensor, priors: Tensor, offsets: [Int]) -> Tensor {
        let queries = offsets.count - 1
        precondition(
            priors.rank == 2 && priors.dim(0) == queries && offsets.last == tokens.dim(0)
                && tokens.dim(1) == priors.dim(1),
            "logLikelihoods: tokens \(tokens.shape) and priors \(priors.shape) for \(queries) queries"
        )
        switch self {
        case .token:
            let queryOfToken = (0..<queries).flatMap { query in
                repeatElement(Int32(query), count: offsets[query + 1] - offsets[query])
            }
            let marginal = (tokens + priors.rows(queryOfToken)).logSumExp(axis: -1)
            return marginal.reshaped([tokens.dim(0), 1]).segmentSums(offsets: offsets)
                .reshaped([queries])
        case .sequence:
            return (tokens.segmentSums(offsets: offsets) + priors).logSumExp(axis: -1)
        }
    }
}
