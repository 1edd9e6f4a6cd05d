/// Attention between its four projections: of queries, keys and values, and of what was read.
///
/// Its parts are named as in BART's checkpoints. Residual, norm and dropout of the result are left to
/// the block above.
///
/// Source: Vaswani et al. 2017, arXiv:1706.03762, section 3.2.2.
public final class MultiHeadAttention: Module {
    @ModuleInfo(key: "k_proj") var key: Linear
    @ModuleInfo(key: "v_proj") var value: Linear
    @ModuleInfo(key: "q_proj") var query: Linear
    @ModuleInfo(key: "out_proj") var output: Linear
    let dropout: Dropout
    let heads: Int
    let scale: Float

    /// - Parameters:
    ///   - width: of queries, sources and results.
    ///   - heads: among which the width is divided.
    ///   - dropout: of the probabilities.
    /// - Precondition: `heads` divides `width`.
    public init(
        width: Int, heads: Int, dropout: Float = 0,
        initialization: Parameter.Initialization = .normal(standardDeviation: 0.02)
    ) {
        precondition(
            heads > 0 && width % heads == 0,
            "MultiHeadAttention: a width of \(width) for \(heads) heads")
        self.dropout = Dropout(dropout)
        self.heads = heads
        scale = 1 / Float(width / heads).squareRoot()
        super.init()
        key = Linear(width, width, initialization: initialization)
        value = Linear(width, width, initialization: initialization)
        query = Linear(width, width, initialization: initialization)
        output = Linear(width, width, initialization: initialization)
    }

    /// - Parameters:
    ///   - hidden: `[queryRows, width]`.
    ///   - source: what is attended to, `[keyRows, width]`; `hidden` itself by default.
    ///   - segments: which rows belong together, and who attends to whom.
    ///   - causal: no row sees those after it in its segment.
    ///   - segmentBias: `[segments.attended.count]`, added to the scores of each attended segment.
    /// - Returns: `[queryRows, width]`.
    public func callAsFunction(
        _ hidden: Tensor, source: Tensor? = nil, _ segments: SegmentMap, causal: Bool = false,
        segmentBias: Tensor? = nil
    ) -> Tensor {
        let source = source ?? hidden
        return attend(
            hidden, key(source), value(source), segments, causal: causal, segmentBias: segmentBias)
    }

    /// The same with keys and values made before.
    func attend(
        _ hidden: Tensor, _ keys: Tensor, _ values: Tensor, _ segments: SegmentMap,
        causal: Bool = false, segmentBias: Tensor? = nil
    ) -> Tensor {
        output(
            .attention(
                query(hidden), keys, values, segments: segments, heads: heads, causal: causal,
                scale: scale, segmentBias: segmentBias, dropout: dropout.mask()))
    }
}
