import RAGKitBLAS

/// Rows of a table, one for each token: part of an embedding sum.
public struct EmbeddingTerm {
    let table: Tensor
    let indices: [Int32]
    let ignoredRow: Int?

    /// - Parameters:
    ///   - table: `[rows, width]`.
    ///   - indices: one row for each token.
    ///   - ignoredRow: a row that gets no gradient, such as the padding entry.
    public init(_ table: Tensor, _ indices: [Int32], ignoringGradientOf ignoredRow: Int? = nil) {
        self.table = table
        self.indices = indices
        self.ignoredRow = ignoredRow
    }
}

extension Tensor {
    /// `scale · words[ids] + positions[…] + types[…]` for each token, in one pass.
    ///
    /// - Returns: `[tokens, width]`.
    public static func embeddingSum(
        words: EmbeddingTerm, scale: Float = 1, positions: EmbeddingTerm? = nil,
        types: EmbeddingTerm? = nil
    ) -> Tensor {
        let terms = [words] + [positions, types].compactMap { $0 }
        let (count, width) = (words.indices.count, words.table.dim(1))
        for term in terms {
            precondition(
                term.indices.count == count && term.table.rank == 2 && term.table.dim(1) == width,
                "embeddingSum: tables or indices of different sizes")
            check(term.indices, below: term.table.dim(0), "embeddingSum")
        }
        let value = Tensor(shape: [count, width]) { result in
            ragkit_embed(
                count, width, scale, words.indices, words.table.pointer, positions?.indices,
                positions?.table.pointer, types?.indices, types?.table.pointer, result)
        }
        let parts = terms.map { (rows: $0.table.dim(0), indices: $0.indices, row: $0.ignoredRow) }
        return .record("embeddingSum", terms.map(\.table), value: value) { gradient, sink in
            for (index, part) in parts.enumerated() {
                sink.accumulate(into: index) { buffer, accumulate in
                    if !accumulate { ragkit_fill(part.rows * width, 0, buffer) }
                    scatterAdd(
                        gradient, to: part.indices, ignoring: part.row, rows: part.rows, width,
                        scale: index == 0 ? scale : 1, buffer)
                }
            }
        }
    }
}
