/// T5's attention: no biases, no scale, and heads of a width of their own.
///
/// It is not built on ``MultiHeadAttention``, because the parts of each have the names of its family's
/// checkpoints.
final class T5Attention: Module {
    @ModuleInfo(key: "q") var query: Linear  // [rows, dModel] → [rows, innerDim], as key and value
    @ModuleInfo(key: "k") var key: Linear
    @ModuleInfo(key: "v") var value: Linear
    @ModuleInfo(key: "o") var output: Linear  // [rows, innerDim] → [rows, dModel]
    let dropout: Dropout
    let heads: Int

    init(_ config: T5Configuration) {
        dropout = Dropout(config.dropoutRate)
        heads = config.numHeads
        super.init()
        let (width, inner) = (config.dModel, config.innerDim)
        // Scores are not scaled; the queries' initial weights are smaller by that scale instead.
        query = config.linear(width, inner, fanIn: width * config.dKV)
        key = config.linear(width, inner, fanIn: width)
        value = config.linear(width, inner, fanIn: width)
        output = config.linear(inner, width, fanIn: inner)
    }

    /// - Parameters:
    ///   - hidden: `[queryRows, dModel]`.
    ///   - source: the rows attended to, `[keyRows, dModel]`.
    ///   - bias: `[heads, rows, columns]`, in self-attention only.
    func callAsFunction(
        _ hidden: Tensor, source: Tensor, _ segments: SegmentMap, bias: Tensor? = nil,
        causal: Bool = false
    ) -> Tensor {
        attend(hidden, key(source), value(source), segments, bias: bias, causal: causal)
    }

    /// Attention to keys and values that are already computed.
    func attend(
        _ hidden: Tensor, _ keys: Tensor, _ values: Tensor, _ segments: SegmentMap,
        bias: Tensor? = nil, causal: Bool = false
    ) -> Tensor {
        output(
            .attention(
                query(hidden), keys, values, segments: segments, heads: heads, causal: causal,
                scale: 1, headBias: bias, dropout: dropout.mask()))
    }
}

/// T5's feed-forward block: `wo(dropout(activation(wi(x))))`, in v1.1 gated:
/// `wo(dropout(activation(wi_0(x)) · wi_1(x)))`.
///
/// Source: Raffel et al. 2020, arXiv:1910.10683, section 2.1; gated: Shazeer 2020,
/// arXiv:2002.05202.
final class T5FeedForward: Module {
    @ModuleInfo var expand: Linear  // [rows, dModel] → [rows, dFF]
    @ModuleInfo(key: "wi_1") var gate: Linear?  // [rows, dModel] → [rows, dFF]
    @ModuleInfo(key: "wo") var contract: Linear  // [rows, dFF] → [rows, dModel]
    let dropout: Dropout
    let activation: Activation

    init(_ config: T5Configuration) {
        let (width, inner) = (config.dModel, config.dFF)
        dropout = Dropout(config.dropoutRate)
        activation = config.denseActFn
        super.init()
        _expand = ModuleInfo(
            wrappedValue: config.linear(width, inner, fanIn: width),
            key: config.isGatedAct ? "wi_0" : "wi")
        gate = config.isGatedAct ? config.linear(width, inner, fanIn: width) : nil
        contract = config.linear(inner, width, fanIn: inner)
    }

    func callAsFunction(_ hidden: Tensor) -> Tensor {
        let inner = expand(hidden, activation: activation)
        return contract(dropout(gate.map { inner * $0(hidden) } ?? inner))
    }
}

/// The norm and residual around each block of T5: `x + dropout(block(norm(x)))`.
final class T5Residual: Module {
    @ModuleInfo(key: "layer_norm") var norm: RMSNorm
    let dropout: Dropout

    init(_ config: T5Configuration) {
        dropout = Dropout(config.dropoutRate)
        super.init()
        norm = config.norm()
    }

    func callAsFunction(_ hidden: Tensor, _ block: (Tensor) -> Tensor) -> Tensor {
        hidden + dropout(block(norm(hidden)))
    }
}

/// Self-attention and a feed-forward block, each behind a norm and inside a residual.
final class T5EncoderLayer: Module {
    @ModuleInfo(key: "layer.0.SelfAttention") var attention: T5Attention
    @ModuleInfo(key: "layer.0") var attentionResidual: T5Residual
    @ModuleInfo(key: "layer.1.DenseReluDense") var feedForward: T5FeedForward
    @ModuleInfo(key: "layer.1") var feedForwardResidual: T5Residual

    init(_ config: T5Configuration) {
        super.init()
        attention = T5Attention(config)
        attentionResidual = T5Residual(config)
        feedForward = T5FeedForward(config)
        feedForwardResidual = T5Residual(config)
    }

    func callAsFunction(_ hidden: Tensor, _ segments: SegmentMap, bias: Tensor) -> Tensor {
        let middle = attentionResidual(hidden) {
            attention($0, source: $0, segments, bias: bias)
        }
        return feedForwardResidual(middle) { feedForward($0) }
    }
}

/// Self-attention, cross-attention and a feed-forward block, each behind a norm and inside a
/// residual.
final class T5DecoderLayer: Module {
    @ModuleInfo(key: "layer.0.SelfAttention") var selfAttention: T5Attention
    @ModuleInfo(key: "layer.0") var selfResidual: T5Residual
    @ModuleInfo(key: "layer.1.EncDecAttention") var crossAttention: T5Attention
    @ModuleInfo(key: "layer.1") var crossResidual: T5Residual
    @ModuleInfo(key: "layer.2.DenseReluDense") var feedForward: T5FeedForward
    @ModuleInfo(key: "layer.2") var feedForwardResidual: T5Residual

    init(_ config: T5Configuration) {
        super.init()
        selfAttention = T5Attention(config)
        selfResidual = T5Residual(config)
        crossAttention = T5Attention(config)
        crossResidual = T5Residual(config)
        feedForward = T5FeedForward(config)
        feedForwardResidual = T5Residual(config)
    }

    func callAsFunction(
        _ hidden: Tensor, _ own: SegmentMap, bias: Tensor, _ memory: Tensor, _ cross: SegmentMap
    ) -> Tensor {
        let attended = selfResidual(hidden) {
            selfAttention($0, source: $0, own, bias: bias, causal: true)
        }
        let read = crossResidual(attended) { crossAttention($0, source: memory, cross) }
        return feedForwardResidual(read) { feedForward($0) }
    }

    /// The states for one more token in each row: `[rows, dModel]`.
    func step(
        _ hidden: Tensor, bias: Tensor, _ layer: Int, _ cache: inout DecoderCache
    ) -> Tensor {
        let attended = cache.selfAttention(hidden, layer: layer) { hidden, extend in
            selfResidual(hidden) { normed in
                let own = extend(selfAttention.key(normed), selfAttention.value(normed))
                return selfAttention.attend(normed, own.keys, own.values, own.segments, bias: bias)
            }
        }
        let read = crossResidual(attended) { normed in
            let (keys, values) = cache.crossKeys[layer]
            return crossAttention.attend(normed, keys, values, cache.crossSegments)
        }
        return feedForwardResidual(read) { feedForward($0) }
    }
}

extension T5Configuration {
    /// A linear map without bias whose initial weights have the variance `1 / fanIn`, times the
    /// square of `initializerFactor`.
    fileprivate func linear(_ inputs: Int, _ outputs: Int, fanIn: Int) -> Linear {
        Linear(
            inputs, outputs, bias: false,
            initialization: .normal(
                standardDeviation: initializerFactor / Float(fanIn).squareRoot()))
    }

    /// A norm of the model's width.
    func norm() -> RMSNorm { RMSNorm(dModel, epsilon: layerNormEpsilon, gain: initializerFactor) }
}
