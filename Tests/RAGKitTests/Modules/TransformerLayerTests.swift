import Testing

@testable import RAGKit

@Suite struct TransformerLayerTests {
    /// Every parameter gets its own random values, biases too.
    private static func randomized<Layer: Module>(_ layer: Layer, seed: UInt64) -> Layer {
        var generator = SeededGenerator(seed: seed)
        for parameter in layer.parameters() {
            parameter.update(.random(parameter.shape, using: &generator))
        }
        return layer
    }

    private static func product(_ x: [Double], _ layer: Linear) -> [Double] {
        let (outputs, inputs) = (layer.weight.shape[0], layer.weight.shape[1])
        let product = Naive.matmul(
            x, layer.weight.value.doubles, m: x.count / inputs, k: inputs, n: outputs,
            otherTransposed: true)
        let bias = layer.bias?.value.doubles ?? []
        return product.indices.map { product[$0] + bias[$0 % outputs] }
    }

    @Test func attentionIsThatBetweenItsProjections() {
        let layer = Self.randomized(MultiHeadAttention(width: 6, heads: 2), seed: 1)
        #expect(
            layer.allNames().map(\.name)
                == ["k_proj", "v_proj", "q_proj", "out_proj"].flatMap {
                    ["\($0).weight", "\($0).bias"]
                })
        var generator = SeededGenerator(seed: 2)
        let hidden = Tensor.random([5, 6], using: &generator)
        let source = Tensor.random([7, 6], using: &generator)
        let bias = Tensor.random([3], using: &generator) * 3
        let segments = SegmentMap(
            queryOffsets: [0, 2, 5], keyOffsets: [0, 3, 4, 7], attended: [[0, 2], [1]])
        func naive(_ source: Tensor, _ segments: SegmentMap, causal: Bool, _ bias: Tensor?)
            -> [Double]
        {
            let attention = NaiveAttention(
                segments: segments, heads: 2, headDim: 3, causal: causal,
                scale: 1 / 3.0.squareRoot())
            let read = attention(
                Self.product(hidden.doubles, layer.query),
                Self.product(source.doubles, layer.key), Self.product(source.doubles, layer.value),
                segmentBias: bias?.doubles)
            return Self.product(read, layer.output)
        }
        expectClose(
            layer(hidden, source: source, segments, segmentBias: bias),
            naive(source, segments, causal: false, bias))
        let own = SegmentMap(selfAttention: [0, 2, 5])
        expectClose(layer(hidden, own, causal: true), naive(hidden, own, causal: true, nil))
    }

    @Test func attentionDropsProbabilitiesInTraining() {
        let layer = Self.randomized(MultiHeadAttention(width: 4, heads: 1, dropout: 0.5), seed: 3)
        let hidden = Tensor.counting([6, 4])
        let own = SegmentMap(selfAttention: [0, 6])
        let context = ForwardContext(isTraining: true, seed: 1)
        let dropped = ForwardContext.$scoped.withValue(context) { layer(hidden, own) }
        #expect(dropped.elements != layer(hidden, own).elements)
    }

    @Test func feedForwardIsTwoMaps() {
        let layer = Self.randomized(FeedForward(width: 3, innerWidth: 5), seed: 4)
        #expect(
            layer.allNames().map(\.name) == ["fc1.weight", "fc1.bias", "fc2.weight", "fc2.bias"])
        var generator = SeededGenerator(seed: 5)
        let hidden = Tensor.random([4, 3], using: &generator)
        let inner = Self.product(hidden.doubles, layer.expand)
        expectClose(layer(hidden), Self.product(inner.map(Naive.gelu), layer.contract))
        let other = FeedForward(width: 3, innerWidth: 5, activation: .relu, dropout: 0.5)
        other.shareValues(of: layer)
        expectClose(other(hidden), Self.product(inner.map { max(0, $0) }, layer.contract))
        let context = ForwardContext(isTraining: true, seed: 1)
        let dropped = ForwardContext.$scoped.withValue(context) { other(hidden) }
        #expect(dropped.elements != other(hidden).elements)
    }
}
