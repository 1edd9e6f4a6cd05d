/// A measure of the fit of a document to a query, from their vectors.
public enum RelevanceScorer: Sendable, Equatable {
    /// The inner product (DPR, RAG).
    case dot
    /// The inner product times a constant, such as `1 / √dimension`, which keeps the softmax over
    /// documents from being sure of one of them before anything is learnt.
    case scaledDot(Float)
    /// The inner product of the directions, -1 to 1 (MARGE). Searches with an inner-product index
    /// rank alike only where the encoder normalizes its vectors.
    case cosine

    /// The scores of each query's own documents.
    ///
    /// - Parameters:
    ///   - queries: `[queries, dimension]`.
    ///   - documents: `[queries · documents, dimension]`, a query's together.
    /// - Returns: `[queries, documents]`.
    public func scores(_ queries: Tensor, _ documents: Tensor) -> Tensor {
        let count = queries.dim(0)
        precondition(
            queries.rank == 2 && documents.rank == 2 && count > 0 && documents.dim(0) % count == 0,
            "RelevanceScorer: documents \(documents.shape) for queries \(queries.shape)")
        let each = documents.dim(0) / count
        let (queries, documents) = directed(queries, documents)
        let repeated = queries.rows(
            (0..<count).flatMap { repeatElement(Int32($0), count: each) })
        return scaled(repeated.dotRows(documents).reshaped([count, each]))
    }

    /// The scores of every query with every document: `[queries, dimension]` and
    /// `[documents, dimension]` → `[queries, documents]`.
    public func allScores(_ queries: Tensor, _ documents: Tensor) -> Tensor {
        let (queries, documents) = directed(queries, documents)
        return scaled(queries.matmul(documents, otherTransposed: true))
    }

    private func directed(_ queries: Tensor, _ documents: Tensor) -> (Tensor, Tensor) {
        self == .cosine ? (queries.l2Normalized(), documents.l2Normalized()) : (queries, documents)
    }

    private func scaled(_ scores: Tensor) -> Tensor {
        if case .scaledDot(let scale) = self { scores * scale } else { scores }
    }
}
