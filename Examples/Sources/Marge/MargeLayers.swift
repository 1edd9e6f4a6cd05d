import Foundation
import RAGKit

/// A step of a layer: its part reads the normalized states, and what it gives is added to them.
final class MargeStep<Part: Module>: Module {
    @ModuleInfo(key: "part") var part: Part
    @ModuleInfo(key: "norm") var norm: LayerNorm
    let dropout: Dropout

    init(_ part: Part, _ config: MargeConfiguration) {
        dropout = Dropout(config.dropout)
        super.init()
        (self.part, norm) = (part, LayerNorm(config.width))
    }

    func callAsFunction(_ hidden: Tensor, _ read: (Part, Tensor) -> Tensor) -> Tensor {
        hidden + dropout(read(part, norm(hidden)))
    }
}

/// Self-attention and a feed-forward block: the layer of the encoder, and with `causal` of the
/// decoder's base. A decoder's layer has a step between the two.
final class MargeLayer: Module {
    @ModuleInfo(key: "attention") var attention: MargeStep<MultiHeadAttention>
    @ModuleInfo(key: "feed_forward") var feedForward: MargeStep<FeedForward>

    init(_ config: MargeConfiguration, innerWidth: Int) {
        super.init()
        attention = config.attention()
        feedForward = MargeStep(
            FeedForward(
                width: config.width, innerWidth: innerWidth, dropout: config.dropout,
                initialization: .normal(standardDeviation: config.initStd)), config)
    }

    func callAsFunction(
        _ hidden: Tensor, _ segments: SegmentMap, causal: Bool,
        between: (Tensor) -> Tensor = { $0 }
    ) -> Tensor {
        let first = attention(hidden) { $0($1, segments, causal: causal) }
        return feedForward(between(first)) { $0($1) }
    }
}

/// Self-attention, attention to the evidence, and a feed-forward block.
final class MargeDecoderLayer: Module {
    @ModuleInfo(key: "own") var own: MargeLayer
    @ModuleInfo(key: "evidence") var reading: MargeStep<MultiHeadAttention>
    /// The factor of relevance in this layer: β of the paper.
    @ParameterInfo(key: "relevance_scale") var scale: Parameter

    init(_ config: MargeConfiguration) {
        super.init()
        own = MargeLayer(config, innerWidth: config.decoderFeedForward)
        (reading, scale) = (config.attention(), Parameter([1], .constant(config.relevanceScale)))
    }

    /// - Parameter relevance: one number for each attended document; none adds nothing.
    func callAsFunction(
        _ hidden: Tensor, _ segments: SegmentMap, _ evidence: Tensor, _ documents: SegmentMap,
        relevance: Tensor?
    ) -> Tensor {
        own(hidden, segments, causal: true) { states in
            reading(states) { attention, rows in
                attention(
                    rows, source: evidence, documents,
                    segmentBias: relevance.map { $0 * scale.tensor })
            }
        }
    }
}

extension MargeConfiguration {
    fileprivate func attention() -> MargeStep<MultiHeadAttention> {
        let rule = Parameter.Initialization.normal(standardDeviation: initStd)
        return MargeStep(
            MultiHeadAttention(width: width, heads: heads, dropout: dropout, initialization: rule),
            self)
    }
}
