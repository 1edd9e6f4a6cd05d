/// BART's attention with its four projections.
final class BartAttention: Module {
    @ModuleInfo(key: "k_proj") var key: Linear
    @ModuleInfo(key: "v_proj") var value: Linear
    @ModuleInfo(key: "q_proj") var query: Linear
    @ModuleInfo(key: "out_proj") var output: Linear
    let dropout: Dropout
    let heads: Int
    let scale: Float

    init(_ config: BartConfiguration, heads: Int) {
        let rule = Parameter.Initialization.normal(standardDeviation: config.initStd)
        let width = config.dModel
        dropout = Dropout(config.attentionDropout)
        self.heads = heads
        scale = 1 / Float(width / heads).squareRoot()
        super.init()
        key = Linear(width, width, initialization: rule)
        value = Linear(width, width, initialization: rule)
        query = Linear(width, width, initialization: rule)
        output = Linear(width, width, initialization: rule)
    }

    /// - Parameters:
    ///   - hidden: `[queryRows, width]`.
    ///   - source: what is attended to, `[keyRows, width]`.
    func callAsFunction(
        _ hidden: Tensor, source: Tensor, _ segments: SegmentMap, causal: Bool = false
    ) -> Tensor {
        attend(hidden, key(source), value(source), segments, causal: causal)
    }

    /// The same with keys and values made before.
    func attend(
        _ hidden: Tensor, _ keys: Tensor, _ values: Tensor, _ segments: SegmentMap,
        causal: Bool = false
    ) -> Tensor {
        output(
            .attention(
                query(hidden), keys, values, segments: segments, heads: heads, causal: causal,
                scale: scale, dropout: dropout.mask()))
    }
}

/// BART's feed-forward block with residual and norm.
final class BartFeedForward: Module {
    @ModuleInfo(key: "fc1") var expand: Linear
    @ModuleInfo(key: "fc2") var contract: Linear
    @ModuleInfo(key: "final_layer_norm") var norm: LayerNorm
    let activationDropout: Dropout
    let dropout: Dropout
    let activation: Activation

    init(_ config: BartConfiguration, innerSize: Int) {
        let rule = Parameter.Initialization.normal(standardDeviation: config.initStd)
        activationDropout = Dropout(config.activationDropout)
        dropout = Dropout(config.dropout)
        activation = config.activationFunction
        super.init()
        expand = Linear(config.dModel, innerSize, initialization: rule)
        contract = Linear(innerSize, config.dModel, initialization: rule)
        norm = LayerNorm(config.dModel)
    }

    func callAsFunction(_ hidden: Tensor) -> Tensor {
        let inner = activationDropout(expand(hidden, activation: activation))
        return norm(contract(inner), residual: hidden, dropout: dropout)
    }
}

final class BartEncoderLayer: Module {
    @ModuleInfo(key: "self_attn") var attention: BartAttention
    @ModuleInfo(key: "self_attn_layer_norm") var attentionNorm: LayerNorm
    @ModuleInfo(key: "") var feedForward: BartFeedForward
    let dropout: Dropout

    init(_ config: BartConfiguration) {
        dropout = Dropout(config.dropout)
        super.init()
        attention = BartAttention(config, heads: config.encoder.heads)
        attentionNorm = LayerNorm(config.dModel)
        feedForward = BartFeedForward(config, innerSize: config.encoder.ffnDim)
    }

    func callAsFunction(_ hidden: Tensor, _ segments: SegmentMap) -> Tensor {
        let attended = attention(hidden, source: hidden, segments)
        return feedForward(attentionNorm(attended, residual: hidden, dropout: dropout))
    }
}

final class BartDecoderLayer: Module {
    @ModuleInfo(key: "self_attn") var selfAttention: BartAttention
    @ModuleInfo(key: "self_attn_layer_norm") var selfNorm: LayerNorm
    @ModuleInfo(key: "encoder_attn") var crossAttention: BartAttention
    @ModuleInfo(key: "encoder_attn_layer_norm") var crossNorm: LayerNorm
    @ModuleInfo(key: "") var feedForward: BartFeedForward
    let selfDropout: Dropout
    let crossDropout: Dropout

    init(_ config: BartConfiguration) {
        selfDropout = Dropout(config.dropout)
        crossDropout = Dropout(config.dropout)
        super.init()
        selfAttention = BartAttention(config, heads: config.decoder.heads)
        selfNorm = LayerNorm(config.dModel)
        crossAttention = BartAttention(config, heads: config.decoder.heads)
        crossNorm = LayerNorm(config.dModel)
        feedForward = BartFeedForward(config, innerSize: config.decoder.ffnDim)
    }

    func callAsFunction(
        _ hidden: Tensor, _ own: SegmentMap, _ memory: Tensor, _ cross: SegmentMap
    ) -> Tensor {
        let attended = selfAttention(hidden, source: hidden, own, causal: true)
        let middle = selfNorm(attended, residual: hidden, dropout: selfDropout)
        let read = crossAttention(middle, source: memory, cross)
        return feedForward(crossNorm(read, residual: middle, dropout: crossDropout))
    }

    /// One more token in each row.
    func step(_ hidden: Tensor, _ layer: Int, _ cache: inout DecoderCache) -> Tensor {
        cache.selfKeys[layer].store(
            selfAttention.key(hidden), selfAttention.value(hidden), at: cache.length,
            capacity: cache.capacity)
        let own = cache.selfKeys[layer]
        let attended = selfAttention.attend(hidden, own.keys, own.values, cache.selfSegments)
        let middle = selfNorm(attended, residual: hidden, dropout: selfDropout)
        let (keys, values) = cache.crossKeys[layer]
        let read = crossAttention.attend(middle, keys, values, cache.crossSegments)
        return feedForward(crossNorm(read, residual: middle, dropout: crossDropout))
    }
}
