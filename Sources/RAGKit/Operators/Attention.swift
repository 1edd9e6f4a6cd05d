import RAGKitBLAS

extension Tensor {
    /// Scaled dot-product attention of ragged query rows over key segments; one for every model.
    ///
    /// The score of a query row and a key row of head `h` is
    /// `scale · q·k + headBias[h, row in its query segment, row in its key segment] + segmentBias[a]`
    /// where `a` counts the entries of `segments.attended`. Softmax runs over all attended rows
    /// together. A query row that sees no key gives zeros.
    ///
    /// Probabilities are not kept for the backward pass but computed again, in cache.
    ///
    /// If the context's precision is not Float32, products of more than a few query rows round their
    /// operands to bfloat16 on processors that multiply bfloat16.
    ///
    /// - Parameters:
    ///   - queries: `[queryRows, heads · headDim]`.
    ///   - keys: `[keyRows, heads · headDim]`.
    ///   - values: `[keyRows, heads · headDim]`.
    ///   - segments: which rows belong together, and who attends to whom.
    ///   - heads: divides the width.
    ///   - causal: the last query row of a segment sees all keys, the one before all but the last,
    ///     and so on.
    ///   - scale: `headDim ** -0.5` in most models, 1 in T5.
    ///   - headBias: `[heads, rows, columns]`, at least as long as the longest segments; T5's
    ///     relative bias. It has a gradient.
    ///   - segmentBias: `[segments.attended.count]`; MARGE's relevance. It has a gradient.
    ///   - dropout: of the probabilities.
    /// - Returns: `[queryRows, heads · headDim]`.
    ///
    /// Source: Vaswani et al. 2017, arXiv:1706.03762, section 3.2; recomputation: Dao et al. 2022,
    /// arXiv:2205.14135.
    public static func attention(
        _ queries: Tensor, _ keys: Tensor, _ values: Tensor, segments: SegmentMap, heads: Int,
        causal: Bool = false, scale: Float, headBias: Tensor? = nil, segmentBias: Tensor? = nil,
        dropout: DropoutMask = .none
    ) -> Tensor {
        let width = queries.dim(-1)
        precondition(
            queries.rank == 2 && keys.rank == 2 && keys.shape == values.shape
                && keys.dim(1) == width && heads > 0 && width % heads == 0,
            "attention: q \(queries.shape), k \(keys.shape), v \(values.shape) for \(heads) heads")
        precondition(
            segments.queryOffsets.last == queries.dim(0) && segments.keyOffsets.last == keys.dim(0),
            "attention: segments do not cover q \(queries.shape) and k \(keys.shape)")
        checkBiases(headBias, segmentBias, segments, heads)
        let call = AttentionCall(
            queries: queries.detached, keys: keys.detached, values: values.detached,
            segments: segments, heads: heads, causal: causal, scale: scale,
            headBias: headBias?.detached, segmentBias: segmentBias?.detached, dropout: dropout,
            roundsOperands: ForwardContext.current.precision != .float32)
        let sums = Tensor(shape: [queries.dim(0), heads]) { _ in }
        let value = call.forward(logSums: sums)
        let inputs = [queries, keys, values] + [headBias, segmentBias].compactMap { $0 }
        return .record("attention", inputs, value: value) { gradient, sink in
            let results = call.backward(output: value, logSums: sums, gradient: gradient)
            for (index, result) in results.enumerated() { sink.add(result, to: index) }
        }
    }

    private static func checkBiases(
        _ headBias: Tensor?, _ segmentBias: Tensor?, _ segments: SegmentMap, _ heads: Int
    ) {
        func longest(_ offsets: [Int]) -> Int {
            zip(offsets.dropFirst(), offsets).map { $0 - $1 }.max() ?? 0
        }
        if let headBias {
            precondition(
                headBias.rank == 3 && headBias.dim(0) == heads
                    && headBias.dim(1) >= longest(segments.queryOffsets)
                    && headBias.dim(2) >= longest(segments.keyOffsets),
                "attention: a head bias of shape \(headBias.shape) for \(heads) heads")
        }
        if let segmentBias {
            precondition(
                segmentBias.shape == [segments.attended.count],
                "attention: \(segmentBias.shape) biases for \(segments.attended.count) segments")
        }
    }
}

/// The values of one call of attention, as the kernels want them.
private struct AttentionCall {
    let queries, keys, values: Tensor
    let segments: SegmentMap
    let heads: Int
    let causal: Bool
    let scale: Float
    let headBias, segmentBias: Tensor?
    let dropout: DropoutMask
    let roundsOperands: Bool

    func forward(logSums: Tensor) -> Tensor {
        Profile.current?.add(operations: 4 * pairs)
        return Tensor(shape: queries.shape) { result in
            withKernelArguments { arguments in
                ragkit_attention_forward(
                    arguments, result, queries.dim(1), logSums.writablePointer)
            }
        }
    }

    /// The gradients of q, k, v, and of the biases that there are, in this order.
    func backward(output: Tensor, logSums: Tensor, gradient: Tensor) -> [Tensor] {
        // Scores again, and the gradients of both products.
        Profile.current?.add(operations: 10 * pairs)
        let width = queries.dim(1)
        let results = [queries, keys, values].map { Tensor(shape: $0.shape) { _ in } }
        let head = headBias.map { Tensor(shape: $0.shape) { _ in } }
        let segment = segmentBias.map { Tensor(shape: $0.shape) { _ in } }
        withKernelArguments { arguments in
            ragkit_attention_backward(
                arguments, output.pointer, width, logSums.pointer, gradient.pointer, width,
                results[0].writablePointer, width, results[1].writablePointer, width,
                results[2].writablePointer, width, head?.writablePointer, segment?.writablePointer)
        }
        return results + [head, segment].compactMap { $0 }
    }

    /// Query row times key row, times the width; causal attention sees about half of it.
    private var pairs: Double {
        Double(segments.pairs) * Double(queries.dim(1)) * (causal ? 0.5 : 1)
    }

    private func withKernelArguments(_ body: (UnsafePointer<ragkit_attention>) -> Void) {
        segments.queryOffsets.withUnsafeBufferPointer { queryOffsets in
            segments.keyOffsets.withUnsafeBufferPointer { keyOffsets in
                segments.attendedOffsets.withUnsafeBufferPointer { attendedOffsets in
                    segments.attended.withUnsafeBufferPointer { attended in
                        var arguments = ragkit_attention()
                        arguments.q = queries.pointer
                        arguments.k = keys.pointer
                        arguments.v = values.pointer
                        arguments.q_stride = queries.dim(1)
                        arguments.k_stride = keys.dim(1)
                        arguments.v_stride = values.dim(1)
                        arguments.heads = heads
                        arguments.head_dim = queries.dim(1) / heads
                        arguments.q_segments = queryOffsets.count - 1
                        arguments.k_segments = keyOffsets.count - 1
                        arguments.q_offsets = queryOffsets.baseAddress
                        arguments.k_offsets = keyOffsets.baseAddress
                        arguments.attended_offsets = attendedOffsets.baseAddress
                        arguments.attended = attended.baseAddress
                        arguments.causal = causal
                        arguments.scale = scale
                        arguments.head_bias = headBias?.pointer
                        arguments.bias_rows = headBias?.dim(1) ?? 0
                        arguments.bias_columns = headBias?.dim(2) ?? 0
                        arguments.segment_bias = segmentBias?.pointer
                        arguments.dropout = dropout.kernel
                        arguments.bfloat16 = roundsOperands
                        body(&arguments)
                    }
                }
            }
        }
    }
}
