/// BART with its language-model head: encodes contexts, decodes answers.
///
/// Source: Lewis et al. 2019, arXiv:1910.13461.
public final class BartGenerator: Module, Seq2SeqGenerator, HuggingFaceModel {
    public let configuration: BartConfiguration
    @ModuleInfo(key: "final_logits_bias") var logitsBias: Parameter
    @ModuleInfo(key: "model.shared") var shared: Embedding
    @ModuleInfo(key: "model.encoder") var encoder: BartEncoder
    @ModuleInfo(key: "model.decoder") var decoder: BartDecoder
    @ModuleInfo(key: "lm_head") var head: Embedding

    public init(configuration config: BartConfiguration) {
        configuration = config
        super.init()
        let rule = Parameter.Initialization.normal(standardDeviation: config.initStd)
        logitsBias = Parameter([1, config.vocabSize], .zeros, isBuffer: true)
        shared = Embedding(
            config.vocabSize, config.dModel, paddingID: Int(config.tokenIDs.pad),
            initialization: rule)
        encoder = BartEncoder(config, shared.weight)
        decoder = BartDecoder(config, shared.weight)
        head =
            config.tieWordEmbeddings
            ? Embedding(tying: shared.weight)
            : Embedding(config.vocabSize, config.dModel, initialization: rule)
    }

    public var tokenIDs: GeneratorTokenIDs { configuration.tokenIDs }
    public var vocabularySize: Int { configuration.vocabSize }
    public var maxTokens: Int { configuration.maxPositionEmbeddings }
    public var huggingFaceConfiguration: JSONValue { configuration.json }

    public var projection: VocabularyProjection {
        VocabularyProjection(
            weight: head.weight.tensor,
            bias: logitsBias.tensor.reshaped([configuration.vocabSize]))
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
            width: configuration.dModel)
    }

    public func step(_ tokens: [Int32], _ cache: inout DecoderCache) -> Tensor {
        decoder.step(tokens, &cache)
    }
}

/// Token and position vectors, summed and normalized: the first part of both stacks.
final class BartEmbeddings: Module {
    @ModuleInfo(key: "embed_tokens") var tokens: Embedding
    @ModuleInfo(key: "embed_positions") var positions: Embedding
    @ModuleInfo(key: "layernorm_embedding") var norm: LayerNorm
    let dropout: Dropout
    let scale: Float

    /// BART's position table begins with two rows that are never used.
    private static let unusedPositions = 2

    init(_ config: BartConfiguration, _ shared: Parameter) {
        dropout = Dropout(config.dropout)
        scale = config.scaleEmbedding ? Float(config.dModel).squareRoot() : 1
        super.init()
        tokens = Embedding(tying: shared)
        positions = Embedding(
            config.maxPositionEmbeddings + Self.unusedPositions, config.dModel,
            initialization: .normal(standardDeviation: config.initStd))
        norm = LayerNorm(config.dModel)
    }

    func callAsFunction(_ ids: [Int32], positions indices: [Int32]) -> Tensor {
        let table = tokens.weight
        let sum = Tensor.embeddingSum(
            words: EmbeddingTerm(table.tensor, ids, ignoringGradientOf: table.zeroRow),
            scale: scale,
            positions: EmbeddingTerm(
                positions.weight.tensor, indices.map { $0 + Int32(Self.unusedPositions) }))
        return dropout(norm(sum))
    }
}

/// BART's encoder.
final class BartEncoder: Module {
    @ModuleInfo(key: "") var embeddings: BartEmbeddings
    @ModuleInfo(key: "layers") var layers: [BartEncoderLayer]

    init(_ config: BartConfiguration, _ shared: Parameter) {
        super.init()
        embeddings = BartEmbeddings(config, shared)
        layers = (0..<config.encoder.layers).map { _ in BartEncoderLayer(config) }
    }

    func callAsFunction(_ batch: TokenBatch) -> Tensor {
        let segments = SegmentMap(selfAttention: batch)
        Profile.current?.add(tokens: batch.totalTokens)
        return layers.reduce(embeddings(batch.ids, positions: batch.positions)) { hidden, layer in
            layer.checkpointed([hidden]) { layer($0[0], segments) }
        }
    }
}

/// BART's decoder.
final class BartDecoder: Module {
    @ModuleInfo(key: "") var embeddings: BartEmbeddings
    @ModuleInfo(key: "layers") var layers: [BartDecoderLayer]

    init(_ config: BartConfiguration, _ shared: Parameter) {
        super.init()
        embeddings = BartEmbeddings(config, shared)
        layers = (0..<config.decoder.layers).map { _ in BartDecoderLayer(config) }
    }

    func callAsFunction(_ batch: TokenBatch, _ memory: EncoderMemory, _ attended: [[Int]]) -> Tensor
    {
        let own = SegmentMap(selfAttention: batch)
        Profile.current?.add(tokens: batch.totalTokens)
        let cross = SegmentMap(
            queryOffsets: batch.offsets, keyOffsets: memory.offsets, attended: attended)
        return layers.reduce(embeddings(batch.ids, positions: batch.positions)) { hidden, layer in
            layer.checkpointed([hidden, memory.hidden]) { layer($0[0], own, $0[1], cross) }
        }
    }

    func step(_ tokens: [Int32], _ cache: inout DecoderCache) -> Tensor {
        Profile.current?.add(tokens: tokens.count)
        let position = Int32(cache.length)
        cache.append(tokens)
        var hidden = embeddings(tokens, positions: tokens.map { _ in position })
        for (index, layer) in layers.enumerated() { hidden = layer.step(hidden, index, &cache) }
        return hidden
    }
}
