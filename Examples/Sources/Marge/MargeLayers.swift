import Foundation
import RAGKit

/// Self-attention and a feed-forward block, each on normalized states and added to them: the layer of
/// the encoder, and with `causal` of the decoder's base.
final class MargeEncoderLayer: Module {
    @ModuleInfo(key: "attention") var attention: MultiHeadAttention
    @ModuleInfo(key: "attention_norm") var attentionNorm: LayerNorm
    @ModuleInfo(key: "feed_forward") var feedForward: FeedForward
    @ModuleInfo(key: "feed_forward_norm") var feedForwardNorm: LayerNorm
    let dropout: Dropout

    init(_ config: MargeConfiguration, innerWidth: Int) {
        dropout = Dropout(config.dropout)
        super.init()
        attention = config.attention
        attentionNorm = LayerNorm(config.width)
        feedForward = config.feedForward(innerWidth: innerWidth)
        feedForwardNorm = LayerNorm(config.width)
    }

    func callAsFunction(_ hidden: Tensor, _ segments: SegmentMap, causal: Bool) -> Tensor {
        let middle = hidden + dropout(attention(attentionNorm(hidden), segments, causal: causal))
        return middle + dropout(feedForward(feedForwardNorm(middle)))
    }
}

/// Self-attention, attention to the evidence, and a feed-forward block.
final class MargeDecoderLayer: Module {
    @ModuleInfo(key: "attention") var attention: MultiHeadAttention
    @ModuleInfo(key: "attention_norm") var attentionNorm: LayerNorm
    @ModuleInfo(key: "cross_attention") var cross: MultiHeadAttention
    @ModuleInfo(key: "cross_attention_norm") var crossNorm: LayerNorm
    /// What relevance is multiplied by: β of the paper, of this layer.
    @ParameterInfo(key: "relevance_scale") var scale: Parameter
    @ModuleInfo(key: "feed_forward") var feedForward: FeedForward
    @ModuleInfo(key: "feed_forward_norm") var feedForwardNorm: LayerNorm
    let dropout: Dropout

    init(_ config: MargeConfiguration) {
        dropout = Dropout(config.dropout)
        super.init()
        attention = config.attention
        attentionNorm = LayerNorm(config.width)
        cross = config.attention
        crossNorm = LayerNorm(config.width)
        scale = Parameter([1], .constant(config.relevanceScale))
        feedForward = config.feedForward(innerWidth: config.decoderFeedForward)
        feedForwardNorm = LayerNorm(config.width)
    }

    /// - Parameter relevance: one number for each attended document; none adds nothing.
    func callAsFunction(
        _ hidden: Tensor, _ own: SegmentMap, _ evidence: Tensor, _ segments: SegmentMap,
        relevance: Tensor?
    ) -> Tensor {
        let first = hidden + dropout(attention(attentionNorm(hidden), own, causal: true))
        let read = cross(
            crossNorm(first), source: evidence, segments,
            segmentBias: relevance.map { $0 * scale.tensor })
        let middle = first + dropout(read)
        return middle + dropout(feedForward(feedForwardNorm(middle)))
    }
}

extension MargeConfiguration {
    fileprivate var attention: MultiHeadAttention {
        MultiHeadAttention(
            width: width, heads: heads, dropout: dropout,
            initialization: .normal(standardDeviation: initStd))
    }

    fileprivate func feedForward(innerWidth: Int) -> FeedForward {
        FeedForward(
            width: width, innerWidth: innerWidth, dropout: dropout,
            initialization: .normal(standardDeviation: initStd))
    }
}
