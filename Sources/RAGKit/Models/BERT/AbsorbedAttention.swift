extension BertSelfAttention {
    /// True if attention with absorbed weights takes fewer multiplications: few queries, many keys.
    func isCheaperAbsorbed(_ segments: SegmentMap, width: Int) -> Bool {
        let (queries, keys) = (segments.queryOffsets.last ?? 0, segments.keyOffsets.last ?? 0)
        return (queries - keys) * width + segments.pairs * (heads - 1) < 0
    }

    /// Attention with the weights of keys and values absorbed into the queries and the output, so
    /// that no state becomes a key or a value.
    ///
    /// Let `d` be the width of a head, `w` that of the states. For one head with the weights `K`,
    /// `V` `[d, w]` and the biases `b`, `c` `[d]`, a query `q` `[d]`, states `x` `[w]` and the
    /// attention `p` that a query pays to each of them:
    ///
    ///     scores   q · (K x + b)   = (Kᵀ q) · x + q · b     Kᵀ q: [w]
    ///     output   Σ p (V x + c)   = V (Σ p x) + c Σ p      Σ p x: [w]
    ///
    /// `q · b` is the same for all keys of a query, and softmax ignores it: the gradient of the
    /// keys' bias is zero. `Σ p` is 1 unless dropout removes some.
    ///
    /// Source: "weight absorption" of multi-head latent attention, DeepSeek-AI 2024,
    /// arXiv:2405.04434, section 2.1.2.
    ///
    /// - Parameters:
    ///   - queries: `[rows, w]`.
    ///   - hidden: the states attended to, `[keyRows, w]`.
    /// - Returns: `[rows, w]`.
    func absorbed(
        _ queries: Tensor, _ hidden: Tensor, _ segments: SegmentMap, _ mask: DropoutMask
    ) -> Tensor {
        let (rows, width) = (queries.dim(0), hidden.dim(1))
        let headWidth = width / heads
        func weightByHead(_ layer: Linear) -> Tensor {
            layer.weight.tensor.reshaped([heads, headWidth, width])
        }
        // [heads, rows, headWidth] · [heads, headWidth, width]
        let queriesByHead = queries.reshaped([rows, heads, headWidth]).permuted([1, 0, 2])
        let absorbedQueries = queriesByHead.matmul(weightByHead(key))
            .reshaped([heads * rows, width])
            .addingZeroGradient(of: key.bias?.tensor)
        // Each head's queries are rows of their own, which attend with a single head.
        let segmentsByHead = segments.repeatingQueries(heads)
        func attend(to values: Tensor) -> Tensor {
            .attention(
                absorbedQueries, hidden, values, segments: segmentsByHead, heads: 1, scale: scale,
                dropout: mask)
        }
        // [heads, rows, width] · [heads, width, headWidth]
        let means = attend(to: hidden).reshaped([heads, rows, width])
        let output = means.matmul(weightByHead(value), otherTransposed: true)
            .permuted([1, 0, 2]).reshaped([rows, width])
        guard let bias = value.bias?.tensor else { return output }
        guard mask.rate > 0 else { return output + bias }
        // Σ p of each row and head: [rows, heads].
        let keptMass = attend(to: .full(hidden.shape, 1)).mean(axis: -1)
            .reshaped([heads, rows]).transposed()
        let biasByHead = bias.reshaped([heads, headWidth])
        return output
            + (keptMass.reshaped([rows, heads, 1]).broadcast(to: [rows] + biasByHead.shape)
            * biasByHead)
            .reshaped([rows, width])
    }
}

extension Tensor {
    /// The same elements, with a gradient of zeros for a tensor that they do not depend on.
    fileprivate func addingZeroGradient(of other: Tensor?) -> Tensor {
        guard let other else { return self }
        let shape = other.shape
        return .record("addingZeroGradient", [self, other], value: self) { gradient, sink in
            sink.add(gradient, to: 0)
            sink.add(.zeros(shape), to: 1)
        }
    }
}
