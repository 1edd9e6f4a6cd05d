@testable import RAGKit

/// T5 as its paper draws it, in Double, with the weights of a model by their names in checkpoints.
struct NaiveT5 {
    private var weights: [String: [Double]]
    private let config: T5Configuration

    init(_ model: T5Generator) {
        weights = Dictionary(
            uniqueKeysWithValues: model.allNames().map { ($0.name, $0.parameter.value.doubles) })
        config = model.configuration
    }

    /// The same with a weight, under all its names, moved along a direction.
    func moved(_ names: [String], along direction: [Double], by step: Double) -> NaiveT5 {
        var other = self
        for name in names {
            other.weights[name] = zip(weight(name), direction).map { $0 + step * $1 }
        }
        return other
    }

    func encoder(_ batch: TokenBatch) -> [Double] {
        var hidden = rows("shared.weight", batch.ids)
        let own = SegmentMap(selfAttention: batch)
        for layer in (0..<config.numLayers).map({ "encoder.block.\($0).layer." }) {
            hidden = residual(layer + "0", hidden) {
                attention(layer + "0.SelfAttention", $0, $0, own, biasOf: "encoder")
            }
            hidden = residual(layer + "1", hidden) { feedForward(layer + "1", $0) }
        }
        return norm(hidden, "encoder.final_layer_norm")
    }

    func decoder(
        _ batch: TokenBatch, memory: [Double], memoryOffsets: [Int], attended: [[Int]]
    ) -> [Double] {
        var hidden = rows("shared.weight", batch.ids)
        let own = SegmentMap(selfAttention: batch)
        let cross = SegmentMap(
            queryOffsets: batch.offsets, keyOffsets: memoryOffsets, attended: attended)
        for layer in (0..<config.numDecoderLayers).map({ "decoder.block.\($0).layer." }) {
            hidden = residual(layer + "0", hidden) {
                attention(layer + "0.SelfAttention", $0, $0, own, biasOf: "decoder")
            }
            hidden = residual(layer + "1", hidden) {
                attention(layer + "1.EncDecAttention", $0, memory, cross, biasOf: nil)
            }
            hidden = residual(layer + "2", hidden) { feedForward(layer + "2", $0) }
        }
        return norm(hidden, "decoder.final_layer_norm")
    }

    func logits(_ hidden: [Double]) -> [Double] {
        let tied = config.tieWordEmbeddings
        let scale = tied ? 1 / Double(config.dModel).squareRoot() : 1
        return linear(
            hidden.map { $0 * scale }, tied ? "shared" : "lm_head", inputs: config.dModel)
    }

    private func residual(
        _ name: String, _ hidden: [Double], _ block: ([Double]) -> [Double]
    ) -> [Double] {
        zip(hidden, block(norm(hidden, name + ".layer_norm"))).map { $0 + $1 }
    }

    private func feedForward(_ layer: String, _ x: [Double]) -> [Double] {
        let name = layer + ".DenseReluDense."
        func activated(_ x: Double) -> Double {
            config.denseActFn == .relu ? max(x, 0) : Naive.geluTanh(x)
        }
        guard config.isGatedAct else {
            let inner = linear(x, name + "wi", inputs: config.dModel).map(activated)
            return linear(inner, name + "wo", inputs: config.dFF)
        }
        let inner = linear(x, name + "wi_0", inputs: config.dModel).map(activated)
        let gate = linear(x, name + "wi_1", inputs: config.dModel)
        return linear(zip(inner, gate).map { $0 * $1 }, name + "wo", inputs: config.dFF)
    }

    /// - Parameter stack: whose relative bias is added; the decoder's looks back only.
    private func attention(
        _ name: String, _ x: [Double], _ source: [Double], _ segments: SegmentMap,
        biasOf stack: String?
    ) -> [Double] {
        var naive = NaiveAttention(
            segments: segments, heads: config.numHeads, headDim: config.dKV,
            causal: stack == "decoder")
        let bias = stack.map { stack in
            let offsets = segments.keyOffsets
            let longest = zip(offsets.dropFirst(), offsets).map { $0 - $1 }.max() ?? 0
            (naive.biasRows, naive.biasColumns) = (longest, longest)
            let table = weight(
                stack + ".block.0.layer.0.SelfAttention.relative_attention_bias.weight")
            let buckets = RelativePositionBuckets(
                count: config.relativeAttentionNumBuckets,
                maxDistance: config.relativeAttentionMaxDistance,
                isBidirectional: stack == "encoder")
            return (0..<config.numHeads).flatMap { head in
                (0..<longest).flatMap { query in
                    (0..<longest).map { table[buckets($0 - query) * config.numHeads + head] }
                }
            }
        }
        let read = naive(
            linear(x, name + ".q", inputs: config.dModel),
            linear(source, name + ".k", inputs: config.dModel),
            linear(source, name + ".v", inputs: config.dModel), headBias: bias)
        return linear(read, name + ".o", inputs: naive.width)
    }

    private func weight(_ name: String) -> [Double] { weights[name] ?? [] }

    private func rows(_ table: String, _ ids: [Int32]) -> [Double] {
        let rows = Naive.rows(weight(table), width: config.dModel)
        return ids.flatMap { rows[Int($0)] }
    }

    private func linear(_ x: [Double], _ name: String, inputs: Int) -> [Double] {
        let matrix = weight(name + ".weight")
        return Naive.matmul(
            x, matrix, m: x.count / inputs, k: inputs, n: matrix.count / inputs,
            otherTransposed: true)
    }

    private func norm(_ x: [Double], _ name: String) -> [Double] {
        Naive.rows(x, width: config.dModel).flatMap {
            Naive.rmsNorm(
                $0, gain: weight(name + ".weight"), epsilon: Double(config.layerNormEpsilon))
        }
    }
}
