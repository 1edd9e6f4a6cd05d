@testable import RAGKit

/// BERT and BART as their papers draw them, in Double, with the weights of a model by their names
/// in checkpoints.
struct NaiveTransformer {
    private let weights: [String: [Double]]
    private let width: Int

    init(_ model: Module, width: Int) {
        weights = Dictionary(
            uniqueKeysWithValues: model.allNames().map { ($0.name, $0.parameter.value.doubles) })
        self.width = width
    }

    func bert(_ batch: TokenBatch, _ config: BertConfiguration) -> [Double] {
        let epsilon = Double(config.layerNormEps)
        let words = rows("embeddings.word_embeddings", batch.ids)
        let positions = rows("embeddings.position_embeddings", batch.positions)
        let types = rows(
            "embeddings.token_type_embeddings", batch.typeIDs ?? batch.ids.map { _ in 0 })
        var hidden = norm(sum(sum(words, positions), types), "embeddings.LayerNorm", epsilon)
        let own = SegmentMap(selfAttention: batch)
        for layer in (0..<config.numHiddenLayers).map({ "encoder.layer.\($0)." }) {
            let projected = ["query", "key", "value"].map {
                linear(hidden, layer + "attention.self.\($0)")
            }
            let heads = attention(projected, own, heads: config.numAttentionHeads)
            let attended = linear(heads, layer + "attention.output.dense")
            hidden = norm(sum(attended, hidden), layer + "attention.output.LayerNorm", epsilon)
            let inner = linear(hidden, layer + "intermediate.dense")
                .map { activated($0, config.hiddenAct) }
            let output = linear(inner, layer + "output.dense")
            hidden = norm(sum(output, hidden), layer + "output.LayerNorm", epsilon)
        }
        return hidden
    }

    func bartEncoder(_ batch: TokenBatch, _ config: BartConfiguration) -> [Double] {
        var hidden = bartEmbeddings("model.encoder.", batch, config)
        let own = SegmentMap(selfAttention: batch)
        for layer in (0..<config.encoder.layers).map({ "model.encoder.layers.\($0)." }) {
            hidden = bartAttention(
                layer + "self_attn", hidden, hidden, own, heads: config.encoder.heads)
            hidden = bartFeedForward(layer, hidden, config.activationFunction)
        }
        return hidden
    }

    func bartDecoder(
        _ batch: TokenBatch, memory: [Double], memoryOffsets: [Int], attended: [[Int]],
        _ config: BartConfiguration
    ) -> [Double] {
        var hidden = bartEmbeddings("model.decoder.", batch, config)
        let own = SegmentMap(selfAttention: batch)
        let cross = SegmentMap(
            queryOffsets: batch.offsets, keyOffsets: memoryOffsets, attended: attended)
        for layer in (0..<config.decoder.layers).map({ "model.decoder.layers.\($0)." }) {
            hidden = bartAttention(
                layer + "self_attn", hidden, hidden, own, heads: config.decoder.heads, causal: true)
            hidden = bartAttention(
                layer + "encoder_attn", hidden, memory, cross, heads: config.decoder.heads)
            hidden = bartFeedForward(layer, hidden, config.activationFunction)
        }
        return hidden
    }

    private func bartEmbeddings(
        _ stack: String, _ batch: TokenBatch, _ config: BartConfiguration
    ) -> [Double] {
        let scale = config.scaleEmbedding ? Double(width).squareRoot() : 1
        let words = rows(stack + "embed_tokens", batch.ids).map { $0 * scale }
        let positions = rows(stack + "embed_positions", batch.positions.map { $0 + 2 })
        return norm(sum(words, positions), stack + "layernorm_embedding", 1e-5)
    }

    private func bartAttention(
        _ name: String, _ hidden: [Double], _ source: [Double], _ segments: SegmentMap, heads: Int,
        causal: Bool = false
    ) -> [Double] {
        let projected = [
            linear(hidden, name + ".q_proj"), linear(source, name + ".k_proj"),
            linear(source, name + ".v_proj"),
        ]
        let attended = attention(projected, segments, heads: heads, causal: causal)
        let output = linear(attended, name + ".out_proj")
        return norm(sum(output, hidden), name + "_layer_norm", 1e-5)
    }

    private func bartFeedForward(
        _ layer: String, _ hidden: [Double], _ activation: Activation
    ) -> [Double] {
        let inner = linear(hidden, layer + "fc1").map { activated($0, activation) }
        return norm(sum(linear(inner, layer + "fc2"), hidden), layer + "final_layer_norm", 1e-5)
    }

    private func activated(_ x: Double, _ activation: Activation) -> Double {
        switch activation {
        case .relu: max(x, 0)
        case .geluTanh: Naive.geluTanh(x)
        default: Naive.gelu(x)
        }
    }

    private func weight(_ name: String) -> [Double] { weights[name] ?? [] }

    private func rows(_ table: String, _ ids: [Int32]) -> [Double] {
        let rows = Naive.rows(weight(table + ".weight"), width: width)
        return ids.flatMap { rows[Int($0)] }
    }

    private func sum(_ a: [Double], _ b: [Double]) -> [Double] { zip(a, b).map { $0 + $1 } }

    private func linear(_ x: [Double], _ name: String) -> [Double] {
        let (matrix, bias) = (weight(name + ".weight"), weight(name + ".bias"))
        let inputs = matrix.count / bias.count
        let product = Naive.matmul(
            x, matrix, m: x.count / inputs, k: inputs, n: bias.count, otherTransposed: true)
        return product.indices.map { product[$0] + bias[$0 % bias.count] }
    }

    private func norm(_ x: [Double], _ name: String, _ epsilon: Double) -> [Double] {
        Naive.rows(x, width: width).flatMap {
            Naive.layerNorm(
                $0, gain: weight(name + ".weight"), bias: weight(name + ".bias"), epsilon: epsilon)
        }
    }

    private func attention(
        _ x: [[Double]], _ segments: SegmentMap, heads: Int, causal: Bool = false
    ) -> [Double] {
        let headDim = width / heads
        let naive = NaiveAttention(
            segments: segments, heads: heads, headDim: headDim, causal: causal,
            scale: 1 / Double(headDim).squareRoot())
        return naive(x[0], x[1], x[2])
    }
}
