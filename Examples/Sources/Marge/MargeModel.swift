import ExampleSupport
import RAGKit

/// The sizes of a MARGE model.
struct MargeConfiguration: Sendable {
    var vocabularySize: Int
    /// Each language has a token of its own, which starts the decoder.
    var languages = 2
    var width = 128
    var heads = 4
    var feedForward = 512
    var encoderLayers = 2
    /// After how many of the encoder's layers the first token's state stands for the document.
    var relevanceLayers = 1
    /// Layers at the decoder's base that attend to the target alone.
    var baseLayers = 1
    /// Layers above them, which also read the evidence.
    var decoderLayers = 2
    var decoderFeedForward = 512
    /// The factor of relevance before training.
    var relevanceScale: Float = 10
    /// The longest document, the token before it included.
    var maxTokens = 128
    var dropout: Float = 0
    var initStd: Float = 0.08
}

/// Documents that were encoded: what the decoder reads, and what relevance compares.
struct EncodedDocuments {
    let memory: EncoderMemory
    /// `[documents, width]`.
    let vectors: Tensor
}

/// MARGE: reconstructs a document from others, and learns which others help.
///
/// The relevance of an evidence document is the cosine of its first token's state and the target's,
/// after the first layers of the encoder that also feeds the decoder. It is added to the scores of
/// the decoder's cross-attention, and that is the only way by which retrieval is trained.
///
/// Source: Lewis et al. 2020, arXiv:2006.15020, section 2.
final class MargeModel: Module {
    let configuration: MargeConfiguration
    @ModuleInfo(key: "tokens") var tokens: Embedding
    @ModuleInfo(key: "encoder") var encoder: [MargeLayer]
    @ModuleInfo(key: "encoder_norm") var encoderNorm: LayerNorm
    @ModuleInfo(key: "decoder_base") var base: [MargeLayer]
    @ModuleInfo(key: "decoder") var decoder: [MargeDecoderLayer]
    @ModuleInfo(key: "decoder_norm") var decoderNorm: LayerNorm
    /// `[maxTokens, width]`.
    private let positions: Tensor

    init(_ config: MargeConfiguration) {
        precondition(
            (1...config.encoderLayers).contains(config.relevanceLayers),
            "MargeModel: relevance after \(config.relevanceLayers) of \(config.encoderLayers)")
        configuration = config
        // The first token holds nothing, not even its position.
        let waves = sinusoids(rows: config.maxTokens, width: config.width).enumerated()
        positions = Tensor(
            waves.map { $0 < config.width ? 0 : Float($1) },
            shape: [config.maxTokens, config.width])
        super.init()
        tokens = Embedding(
            config.vocabularySize + config.languages + 1, config.width,
            paddingID: config.vocabularySize + config.languages,
            initialization: .normal(standardDeviation: config.initStd))
        encoder = (0..<config.encoderLayers).map { _ in
            MargeLayer(config, innerWidth: config.feedForward)
        }
        encoderNorm = LayerNorm(config.width)
        base = (0..<config.baseLayers).map { _ in
            MargeLayer(config, innerWidth: config.decoderFeedForward)
        }
        decoder = (0..<config.decoderLayers).map { _ in MargeDecoderLayer(config) }
        decoderNorm = LayerNorm(config.width)
    }

    /// The token that starts the decoder in a language.
    func startToken(language: Int) -> Int32 { Int32(configuration.vocabularySize + language) }

    /// The token before each document, whose state is compared. Its vector is and stays zero, so that
    /// the state holds nothing but what the token read; a vector of its own would be most of it, and
    /// make all documents look alike.
    private var firstToken: Int32 {
        Int32(configuration.vocabularySize + configuration.languages)
    }

    /// Encodes each document by itself.
    func encode(_ documents: [[Int32]]) -> EncodedDocuments {
        let (batch, segments, early) = firstLayers(documents)
        let late = run(encoder.dropFirst(configuration.relevanceLayers), early, segments)
        return EncodedDocuments(
            memory: EncoderMemory(hidden: encoderNorm(late), offsets: batch.offsets),
            vectors: firstStates(early, batch))
    }

    /// The vectors that relevance compares, `[documents, width]`, without running the later layers.
    func vectors(of documents: [[Int32]]) -> Tensor {
        let (batch, _, early) = firstLayers(documents)
        return firstStates(early, batch)
    }

    /// The states after the layers that relevance looks at, `[totalTokens, width]`.
    private func firstLayers(
        _ documents: [[Int32]]
    ) -> (batch: TokenBatch, segments: SegmentMap, hidden: Tensor) {
        let batch = TokenBatch(documents.map { [firstToken] + $0 })
        let segments = SegmentMap(selfAttention: batch)
        let layers = encoder.prefix(configuration.relevanceLayers)
        return (batch, segments, run(layers, embed(batch), segments))
    }

    /// The decoder's states: `[totalTokens, width]`.
    ///
    /// - Parameters:
    ///   - inputs: one sequence for each target, its start token included.
    ///   - attended: for each target, the documents it is reconstructed from.
    ///   - relevance: of each attended document, back to back; `nil` for plain attention to all.
    func decode(
        _ inputs: TokenBatch, _ memory: EncoderMemory, attending attended: [[Int]],
        relevance: Tensor?
    ) -> Tensor {
        let own = SegmentMap(selfAttention: inputs)
        let cross = SegmentMap(
            queryOffsets: inputs.offsets, keyOffsets: memory.offsets, attended: attended)
        let start = run(base[...], embed(inputs), own, causal: true)
        return decoderNorm(
            decoder.reduce(start) { hidden, layer in
                layer(hidden, own, memory.hidden, cross, relevance: relevance)
            })
    }

    /// The logits are made with the table of tokens, without those that start something.
    var projection: VocabularyProjection {
        VocabularyProjection(weight: tokens.weight.tensor.slice(0..<configuration.vocabularySize))
    }

    private func run(
        _ layers: ArraySlice<MargeLayer>, _ hidden: Tensor, _ segments: SegmentMap,
        causal: Bool = false
    ) -> Tensor {
        layers.reduce(hidden) { $1($0, segments, causal: causal) }
    }

    private func firstStates(_ hidden: Tensor, _ documents: TokenBatch) -> Tensor {
        hidden.rows(documents.firstTokens)
    }

    /// Token vectors, scaled as in the paper below, and sinusoids of the positions.
    private func embed(_ batch: TokenBatch) -> Tensor {
        .embeddingSum(
            words: EmbeddingTerm(
                tokens.weight.tensor, batch.ids, ignoringGradientOf: Int(firstToken)),
            scale: Float(configuration.width).squareRoot(),
            positions: EmbeddingTerm(positions, batch.positions))
    }
}

/// The relevance of the documents that each target attends to, back to back.
///
/// - Parameters:
///   - targets: vectors, `[targets, width]`.
///   - evidence: vectors, `[documents, width]`.
func relevance(_ targets: Tensor, _ evidence: Tensor, attending attended: [[Int]]) -> Tensor {
    let all = RelevanceScorer.cosine.allScores(targets, evidence)
    let pairs = attended.enumerated().flatMap { target, documents in
        documents.map { Int32(target * evidence.dim(0) + $0) }
    }
    return all.reshaped([all.count, 1]).rows(pairs).reshaped([pairs.count])
}
