import RAGKitBLAS

/// A projection to a vocabulary, given to the fused losses instead of its logits.
public struct VocabularyProjection {
    /// `[vocabulary, width]`.
    public var weight: Tensor
    /// `[vocabulary]`, added to the logits.
    public var bias: Tensor?
    /// Multiplies the hidden states first (T5 scales them when its embeddings are tied).
    public var scale: Float

    public init(weight: Tensor, bias: Tensor? = nil, scale: Float = 1) {
        self.weight = weight
        self.bias = bias
        self.scale = scale
    }

    /// The number of logits.
    public var vocabularySize: Int { weight.dim(0) }

    /// All logits: `[rows, width]` → `[rows, vocabulary]`.
    public func logits(_ hidden: Tensor) -> Tensor {
        (scale == 1 ? hidden : hidden * scale).linear(weight, bias: bias)
    }
}

/// Log-probabilities of target tokens, and what label smoothing needs.
public struct TokenLogProbabilities {
    /// The log-probability of each target, `[rows]`; 0 where the target is negative.
    public let target: Tensor
    /// The sum of all log-probabilities of the vocabulary, `[rows]`.
    public let total: Tensor?
}

/// The number of logits that are held at a time: 4 MiB, which stays in the last-level cache.
private let chunkElements = 1 << 20

extension VocabularyProjection {
    /// `log softmax(hidden · weightᵀ + bias)` at the targets, without ever holding all logits.
    ///
    /// - Parameters:
    ///   - hidden: `[rows, width]`.
    ///   - targets: one for each row; a negative target counts for nothing.
    ///   - includingTotal: whether the sum over the vocabulary is wanted, for label smoothing.
    /// - Returns: nats.
    public func logProbabilities(
        _ hidden: Tensor, targets: [Int32], includingTotal: Bool = false
    ) -> TokenLogProbabilities {
        let rows = hidden.dim(0)
        precondition(
            hidden.rank == 2 && targets.count == rows,
            "logProbabilities: \(targets.count) targets for hidden states of shape \(hidden.shape)")
        check(targets.map { max($0, 0) }, below: vocabularySize, "logProbabilities")
        let size = vocabularySize
        let chunks = LogitChunks(self, hidden, group: 1)
        let sums = Tensor(shape: [rows]) { _ in }
        let picked = Tensor(shape: [includingTotal ? 2 : 1, rows]) { result in
            chunks.forEach { range, logits in
                targets.withUnsafeBufferPointer { targets in
                    ragkit_pick_log_softmax(
                        range.count, size, logits,
                        targets.baseAddress.map { $0 + range.lowerBound },
                        sums.writablePointer + range.lowerBound, result + range.lowerBound,
                        includingTotal ? result + rows + range.lowerBound : nil)
                }
            }
        }
        let value = chunks.record("logProbabilities", self, hidden, value: picked) {
            gradient, range, logits, _ in
            targets.withUnsafeBufferPointer { targets in
                ragkit_pick_log_softmax_gradient(
                    range.count, size, logits, targets.baseAddress.map { $0 + range.lowerBound },
                    sums.pointer + range.lowerBound, gradient.pointer + range.lowerBound,
                    includingTotal ? gradient.pointer + rows + range.lowerBound : nil)
            }
        }
        return TokenLogProbabilities(value, rows: rows)
    }

    /// RAG-token's marginal: `P(v) = log Σⱼ exp(log softmax(logitsⱼ)(v) + priors[g, j])` for each
    /// group `g` of `documents` rows, at the target, and summed over the vocabulary.
    ///
    /// - Parameters:
    ///   - hidden: `[groups · documents, width]`, a group's rows together.
    ///   - priors: `[groups, documents]` log-probabilities of the documents.
    ///   - targets: one for each group; a negative target counts for nothing.
    /// - Returns: nats, one row for each group.
    ///
    /// Source: Lewis et al. 2020, arXiv:2005.11401, section 2.1.
    public func marginalLogProbabilities(
        _ hidden: Tensor, priors: Tensor, targets: [Int32]
    ) -> TokenLogProbabilities {
        precondition(
            priors.rank == 2 && priors.dim(0) == targets.count && hidden.dim(0) == priors.count,
            "marginalLogProbabilities: priors \(priors.shape) for hidden states \(hidden.shape)")
        check(targets.map { max($0, 0) }, below: vocabularySize, "marginalLogProbabilities")
        let (groups, documents) = (priors.dim(0), priors.dim(1))
        let size = vocabularySize
        let chunks = LogitChunks(self, hidden, group: documents)
        let sums = Tensor(shape: [groups * documents]) { _ in }
        let prior = priors.detached
        let marginal = Tensor(shape: [2, groups]) { result in
            chunks.forEach { range, logits in
                let group = range.lowerBound / max(documents, 1)
                targets.withUnsafeBufferPointer { targets in
                    ragkit_marginal(
                        range.count / max(documents, 1), documents, size, logits,
                        prior.pointer + range.lowerBound, targets.baseAddress.map { $0 + group },
                        sums.writablePointer + range.lowerBound, result + group,
                        result + groups + group)
                }
            }
        }
        let value = chunks.record(
            "marginalLogProbabilities", self, hidden, value: marginal, priors: priors
        ) { gradient, range, logits, priorGradient in
            let group = range.lowerBound / max(documents, 1)
            targets.withUnsafeBufferPointer { targets in
                ragkit_marginal_gradient(
                    range.count / max(documents, 1), documents, size, logits,
                    prior.pointer + range.lowerBound, targets.baseAddress.map { $0 + group },
                    sums.pointer + range.lowerBound, gradient.pointer + group,
                    gradient.pointer + groups + group,
                    priorGradient.map { $0.writablePointer + range.lowerBound })
            }
        }
        return TokenLogProbabilities(value, rows: groups)
    }
}

extension VocabularyProjection {
    /// Calls `body` with all logits, some rows at a time; it may write into them. Nothing is
    /// recorded.
    func forEachLogits(
        _ hidden: Tensor, _ body: (Range<Int>, UnsafeMutablePointer<Float>) -> Void
    ) {
        LogitChunks(self, hidden, group: 1).forEach(body)
    }
}

extension TokenLogProbabilities {
    /// - Parameter value: `[1 or 2, rows]`: the picked values, and the sums.
    fileprivate init(_ value: Tensor, rows: Int) {
        target = value.slice(0..<1).reshaped([rows])
        total = value.dim(0) > 1 ? value.slice(1..<2).reshaped([rows]) : nil
    }
}

/// Computes logits a chunk of rows at a time, and takes a gradient of logits back to what they were
/// made from. The backward pass computes them again, which is cheaper than the memory.
private struct LogitChunks {
    let hidden, weight: Tensor
    let bias: Tensor?
    let scale: Float
    let rowsPerChunk: Int
    let products: WeightProduct

    /// - Parameter group: how many rows belong together; a chunk holds whole groups.
    init(_ projection: VocabularyProjection, _ hidden: Tensor, group: Int) {
        self.hidden = hidden.detached
        weight = projection.weight.detached
        bias = projection.bias?.detached
        scale = projection.scale
        precondition(
            hidden.dim(1) == weight.dim(1),
            "projection: hidden states \(hidden.shape) for a weight of shape \(weight.shape)")
        let group = max(group, 1)
        rowsPerChunk = max(1, max(64, chunkElements / max(1, weight.dim(0))) / group) * group
        products = WeightProduct(projection.weight, repeats: hidden.dim(0) > rowsPerChunk)
    }

    func forEach(_ body: (Range<Int>, UnsafeMutablePointer<Float>) -> Void) {
        let (rows, width, size) = (hidden.dim(0), hidden.dim(1), weight.dim(0))
        let logits = TensorStorage(count: min(rows, rowsPerChunk) * size)
        for first in stride(from: 0, to: rows, by: rowsPerChunk) {
            let range = first..<min(first + rowsPerChunk, rows)
            products.forward(
                range.count, alpha: scale, hidden.pointer + first * width, bias: bias?.pointer,
                pre: logits.pointer, logits.pointer)
            body(range, logits.pointer)
        }
    }

    /// Records a result whose backward pass replaces each chunk of logits by its gradient, and
    /// fills its rows of the priors' gradient where there are priors.
    func record(
        _ name: String, _ projection: VocabularyProjection, _ hidden: Tensor, value: Tensor,
        priors: Tensor? = nil,
        _ logitGradient:
            @escaping (Tensor, Range<Int>, UnsafeMutablePointer<Float>, Tensor?) -> Void
    ) -> Tensor {
        let inputs =
            [hidden, projection.weight]
            + [projection.bias, priors].compactMap { $0 }
        let (priorShape, last) = (priors?.shape, inputs.count - 1)
        return .record(name, inputs, value: value) { gradient, sink in
            // Made again for each walk: the last one's belongs to whoever asked for it.
            let priorGradient = priorShape.map { Tensor(shape: $0) { _ in } }
            self.forEach { range, logits in
                logitGradient(gradient, range, logits, priorGradient)
                self.addGradients(of: range, logits, isFirst: range.lowerBound == 0, sink)
            }
            if let priorGradient { sink.add(priorGradient, to: last) }
        }
    }

    private func addGradients(
        of range: Range<Int>, _ logits: UnsafeMutablePointer<Float>, isFirst: Bool,
        _ sink: GradientSink
    ) {
        let (width, size) = (hidden.dim(1), weight.dim(0))
        let rowOffset = range.lowerBound * width
        sink.accumulate(into: 0) { buffer, accumulate in
            // The first chunk makes the whole buffer, of which the later ones fill their rows.
            if isFirst && !accumulate { ragkit_fill(hidden.count, 0, buffer) }
            products.backward(
                range.count, alpha: scale, logits, buffer + rowOffset, accumulate: true)
        }
        sink.accumulate(into: 1) { buffer, accumulate in
            products.weightGradient(
                range.count, alpha: scale, logits, hidden.pointer + rowOffset, buffer,
                accumulate: accumulate)
        }
        guard bias != nil else { return }
        sink.accumulate(into: 2) { buffer, accumulate in
            ragkit_sum_rows(range.count, size, logits, accumulate, buffer)
        }
    }
}
