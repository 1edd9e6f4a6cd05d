extension BartConfiguration {
    /// Attention of the model's width; the two stacks may differ in their number of heads.
    fileprivate func attention(heads: Int) -> MultiHeadAttention {
        MultiHeadAttention(
            width: dModel, heads: heads, dropout: attentionDropout,
            initialization: .normal(standardDeviation: initStd))
    }

    fileprivate func feedForward(innerWidth: Int) -> FeedForward {
        FeedForward(
            width: dModel, innerWidth: innerWidth, activation: activationFunction,
            dropout: activationDropout, initialization: .normal(standardDeviation: initStd))
    }
}

/// Self-attention and a feed-forward block, each followed by residual and norm.
final class BartEncoderLayer: Module {
    @ModuleInfo(key: "self_attn") var attention: MultiHeadAttention
    @ModuleInfo(key: "self_attn_layer_norm") var attentionNorm: LayerNorm
    @ModuleInfo(key: "") var feedForward: FeedForward
    @ModuleInfo(key: "final_layer_norm") var finalNorm: LayerNorm
    let dropout: Dropout

    init(_ config: BartConfiguration) {
        dropout = Dropout(config.dropout)
        super.init()
        attention = config.attention(heads: config.encoder.heads)
        attentionNorm = LayerNorm(config.dModel)
        feedForward = config.feedForward(innerWidth: config.encoder.ffnDim)
        finalNorm = LayerNorm(config.dModel)
    }

    func callAsFunction(_ hidden: Tensor, _ segments: SegmentMap) -> Tensor {
        let middle = attentionNorm(
            attention(hidden, segments), residual: hidden, dropout: dropout)
        return finalNorm(feedForward(middle), residual: middle, dropout: dropout)
    }
}

/// Self-attention, cross-attention and a feed-forward block, each followed by residual and norm.
final class BartDecoderLayer: Module {
    @ModuleInfo(key: "self_attn") var selfAttention: MultiHeadAttention
    @ModuleInfo(key: "self_attn_layer_norm") var selfNorm: LayerNorm
    @ModuleInfo(key: "encoder_attn") var crossAttention: MultiHeadAttention
    @ModuleInfo(key: "encoder_attn_layer_norm") var crossNorm: LayerNorm
    @ModuleInfo(key: "") var feedForward: FeedForward
    @ModuleInfo(key: "final_layer_norm") var finalNorm: LayerNorm
    let dropout: Dropout

    init(_ config: BartConfiguration) {
        dropout = Dropout(config.dropout)
        super.init()
        selfAttention = config.attention(heads: config.decoder.heads)
        selfNorm = LayerNorm(config.dModel)
        crossAttention = config.attention(heads: config.decoder.heads)
        crossNorm = LayerNorm(config.dModel)
        feedForward = config.feedForward(innerWidth: config.decoder.ffnDim)
        finalNorm = LayerNorm(config.dModel)
    }

    func callAsFunction(
        _ hidden: Tensor, _ own: SegmentMap, _ memory: Tensor, _ cross: SegmentMap
    ) -> Tensor {
        let attended = selfAttention(hidden, own, causal: true)
        let middle = selfNorm(attended, residual: hidden, dropout: dropout)
        let read = crossAttention(middle, source: memory, cross)
        return finish(read, middle)
    }

    /// The states for one more token in each row: `[rows, width]`.
    func step(_ hidden: Tensor, _ layer: Int, _ cache: inout DecoderCache) -> Tensor {
        let middle = cache.selfAttention(hidden, layer: layer) { hidden, extend in
            let own = extend(selfAttention.key(hidden), selfAttention.value(hidden))
            let attended = selfAttention.attend(hidden, own.keys, own.values, own.segments)
            return selfNorm(attended, residual: hidden, dropout: dropout)
        }
        let (keys, values) = cache.crossKeys[layer]
        let read = crossAttention.attend(middle, keys, values, cache.crossSegments)
        return finish(read, middle)
    }

    /// The rest of the layer after the cross-attention.
    private func finish(_ read: Tensor, _ middle: Tensor) -> Tensor {
        let last = crossNorm(read, residual: middle, dropout: dropout)
        return finalNorm(feedForward(last), residual: last, dropout: dropout)
    }
}
