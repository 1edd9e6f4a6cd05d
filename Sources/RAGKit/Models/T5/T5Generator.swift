/// T5 with its language-model head: encodes contexts, decodes answers.
///
/// Source: Raffel et al. 2020, arXiv:1910.10683.
public final class T5Generator: Module, Seq2SeqGenerator, HuggingFaceModel {
    public let configuration: T5Configuration
    @ModuleInfo(key: "shared") var shared: Embedding
    @ModuleInfo(key: "encoder") var encoder: T5Encoder
    @ModuleInfo(key: "decoder") var decoder: T5Decoder
    @ModuleInfo(key: "lm_head") var head: Embedding

    public init(configuration config: T5Configuration) {
        configuration = config
        super.init()
        let rule = Parameter.Initialization.normal(standardDeviation: config.initializerFactor)
        shared = Embedding(config.vocabSize, config.dModel, initialization: rule)
        encoder = T5Encoder(config, shared.weight)
        decoder = T5Decoder(config, shared.weight)
        head =
            config.tieWordEmbeddings || config.sharesUnscaledHead
            ? Embedding(tying: shared.weight)
            : Embedding(config.vocabSize, config.dModel, initialization: rule)
    }

    public var tokenIDs: GeneratorTokenIDs { configuration.tokenIDs }
    public var vocabularySize: Int { configuration.vocabSize }
    /// A number beyond every length, yet safe to add to: relative positions set no limit.
    public var maxTokens: Int { 1 << 30 }
    public var huggingFaceConfiguration: JSONValue { configuration.json }

    public var projection: VocabularyProjection {
        // Embeddings are initialized with a variance of 1, which is too large for logits.
        VocabularyProjection(
            weight: head.weight.tensor,
            scale: configuration.tieWordEmbeddings
                ? 1 / Float(configuration.dModel).squareRoot() : 1)
    }

    public func encode(_ contexts: TokenBatch) -> EncoderMemory {
        EncoderMemory(hidden: encoder(contexts), offsets: contexts.offsets)
    }

    public func decode(
        _ inputs: TokenBatch, _ memory: EncoderMemory, attending attended: [[Int]]
    ) -> Tensor {
        decoder(inputs, memory, attended)
    }

    public func startDecoding(
        _ memory: EncoderMemory, attending attended: [[Int]], maxLength: Int
    ) -> DecoderCache {
        DecoderCache(
            capacity: maxLength, attended: attended, memoryOffsets: memory.offsets,
            crossKeys: decoder.layers.map {
                ($0.crossAttention.key(memory.hidden), $0.crossAttention.value(memory.hidden))
            },
            width: configuration.innerDim)
    }

    public func step(_ tokens: [Int32], _ cache: inout DecoderCache) -> Tensor {
        decoder.step(tokens, &cache)
    }
}

/// The first and the last part of both stacks of T5.
final class T5Ends: Module {
    @ModuleInfo(key: "embed_tokens") var tokens: Embedding
    @ModuleInfo(key: "final_layer_norm") var norm: RMSNorm
    let inputDropout: Dropout
    let outputDropout: Dropout

    init(_ config: T5Configuration, _ shared: Parameter) {
        inputDropout = Dropout(config.dropoutRate)
        outputDropout = Dropout(config.dropoutRate)
        super.init()
        tokens = Embedding(tying: shared)
        norm = config.norm()
    }

    func embed(_ ids: [Int32]) -> Tensor { inputDropout(tokens(ids)) }
    func finish(_ hidden: Tensor) -> Tensor { outputDropout(norm(hidden)) }
}

/// T5's encoder. The first layer holds the relative bias that all layers use.
final class T5Encoder: Module {
    @ModuleInfo(key: "block.0.layer.0.SelfAttention.relative_attention_bias") var relativeBias:
        T5RelativeBias
    @ModuleInfo(key: "block") var layers: [T5EncoderLayer]
    @ModuleInfo(key: "") var ends: T5Ends

    init(_ config: T5Configuration, _ shared: Parameter) {
        super.init()
        relativeBias = T5RelativeBias(config, isBidirectional: true)
        layers = (0..<config.numLayers).map { _ in T5EncoderLayer(config) }
        ends = T5Ends(config, shared)
    }

    func callAsFunction(_ batch: TokenBatch) -> Tensor {
        let segments = SegmentMap(selfAttention: batch)
        Profile.current?.add(tokens: batch.totalTokens)
        let bias = relativeBias(longestOf: batch)
        return ends.finish(
            layers.reduce(ends.embed(batch.ids)) { hidden, layer in
                layer.checkpointed([hidden, bias]) { layer($0[0], segments, bias: $0[1]) }
            })
    }
}

/// T5's decoder. The first layer holds the relative bias that all layers use.
final class T5Decoder: Module {
    @ModuleInfo(key: "block.0.layer.0.SelfAttention.relative_attention_bias") var relativeBias:
        T5RelativeBias
    @ModuleInfo(key: "block") var layers: [T5DecoderLayer]
    @ModuleInfo(key: "") var ends: T5Ends

    init(_ config: T5Configuration, _ shared: Parameter) {
        super.init()
        relativeBias = T5RelativeBias(config, isBidirectional: false)
        layers = (0..<config.numDecoderLayers).map { _ in T5DecoderLayer(config) }
        ends = T5Ends(config, shared)
    }

    func callAsFunction(_ batch: TokenBatch, _ memory: EncoderMemory, _ attended: [[Int]]) -> Tensor
    {
        let own = SegmentMap(selfAttention: batch)
        Profile.current?.add(tokens: batch.totalTokens)
        let cross = SegmentMap(
            queryOffsets: batch.offsets, keyOffsets: memory.offsets, attended: attended)
        let bias = relativeBias(longestOf: batch)
        return ends.finish(
            layers.reduce(ends.embed(batch.ids)) { hidden, layer in
                layer.checkpointed([hidden, bias, memory.hidden]) {
                    layer($0[0], own, bias: $0[1], $0[2], cross)
                }
            })
    }

    func step(_ tokens: [Int32], _ cache: inout DecoderCache) -> Tensor {
        Profile.current?.add(tokens: tokens.count)
        // Positions that are not filled yet have a bias too, but no query attends to them.
        let bias = relativeBias(queries: cache.length..<cache.length + 1, keys: cache.capacity)
        cache.append(tokens)
        var hidden = ends.embed(tokens)
        for (index, layer) in layers.enumerated() {
            hidden = layer.step(hidden, bias: bias, index, &cache)
        }
        return ends.finish(hidden)
    }
}

extension T5RelativeBias {
    /// The bias of self-attention, as large as the longest sequence needs.
    fileprivate func callAsFunction(longestOf batch: TokenBatch) -> Tensor {
        let length = max(1, batch.lengths.max() ?? 0)
        return self(queries: 0..<length, keys: length)
    }
}
