/// BERT's encoder: embeddings and a stack of post-norm layers, on ragged batches.
///
/// The names of its parts are the checkpoint's. It has no pooler, since DPR has none.
///
/// Source: Devlin et al. 2018, arXiv:1810.04805.
public final class BertModel: Module {
    public let configuration: BertConfiguration
    @ModuleInfo(key: "embeddings") var embeddings: BertEmbeddings
    @ModuleInfo(key: "encoder.layer") var layers: [BertLayer]

    public init(_ configuration: BertConfiguration) {
        self.configuration = configuration
        super.init()
        embeddings = BertEmbeddings(configuration)
        layers = (0..<configuration.numHiddenLayers).map { _ in BertLayer(configuration) }
    }

    /// The table of word vectors, `[vocabulary, hidden]`, which a masked-language-model head
    /// shares.
    public var wordEmbeddings: Parameter { embeddings.words.weight }

    /// - Parameter layerCount: the number of layers to run; all by default.
    /// - Returns: the states after the last layer run, `[totalTokens, hidden]`.
    public func callAsFunction(_ batch: TokenBatch, layerCount: Int? = nil) -> Tensor {
        let segments = SegmentMap(selfAttention: batch)
        Profile.current?.add(tokens: batch.totalTokens)
        return layers.prefix(layerCount ?? layers.count).reduce(embeddings(batch)) {
            hidden, layer in
            layer.checkpointed([hidden]) { layer($0[0], segments) }
        }
    }

    /// The states of some tokens only. The last layer computes just these, which attend to all
    /// tokens.
    ///
    /// - Parameter rows: rows of `[totalTokens, hidden]`, in any order and repeated if need be.
    /// - Returns: the states after the last layer, `[rows.count, hidden]`.
    /// - Precondition: each row is below `batch.totalTokens`.
    public func callAsFunction(_ batch: TokenBatch, at rows: [Int32]) -> Tensor {
        check(rows, below: batch.totalTokens, "BertModel")
        guard let last = layers.last else { return self(batch).rows(rows) }
        let hidden = self(batch, layerCount: layers.count - 1)
        let asked = Set(rows).sorted()
        let segments = SegmentMap(selfAttention: batch.offsets, at: asked)
        let states = last.checkpointed([hidden]) { last($0[0], at: asked, segments) }
        if asked == rows { return states }
        let places = Dictionary(uniqueKeysWithValues: zip(asked, Int32(0)...))
        return states.rows(rows.compactMap { places[$0] })
    }

    /// One vector for each sequence, as in DPR and REALM: `[batch.count, hidden]`.
    ///
    /// - Precondition: no sequence is empty.
    public func callAsFunction(_ batch: TokenBatch, pooling: Pooling) -> Tensor {
        precondition(
            !batch.lengths.contains(0), "BertModel: an empty sequence has no state to pool")
        return switch pooling {
        case .cls: self(batch, at: batch.firstTokens)
        case .mean: self(batch).segmentMeans(offsets: batch.offsets)
        }
    }
}

/// Word, position and type vectors, summed, normalized and dropped out.
final class BertEmbeddings: Module {
    @ModuleInfo(key: "word_embeddings") var words: Embedding
    @ModuleInfo(key: "position_embeddings") var positions: Embedding
    @ModuleInfo(key: "token_type_embeddings") var types: Embedding
    @ModuleInfo(key: "LayerNorm") var norm: LayerNorm
    let dropout: Dropout

    init(_ config: BertConfiguration) {
        let rule = Parameter.Initialization.normal(standardDeviation: config.initializerRange)
        let width = config.hiddenSize
        dropout = Dropout(config.hiddenDropoutProb)
        super.init()
        words = Embedding(
            config.vocabSize, width, paddingID: Int(config.padTokenID), initialization: rule)
        positions = Embedding(config.maxPositionEmbeddings, width, initialization: rule)
        types = Embedding(config.typeVocabSize, width, initialization: rule)
        norm = LayerNorm(width, epsilon: config.layerNormEps)
    }

    func callAsFunction(_ batch: TokenBatch) -> Tensor {
        let types = batch.typeIDs ?? [Int32](repeating: 0, count: batch.totalTokens)
        let sum = Tensor.embeddingSum(
            words: EmbeddingTerm(
                words.weight.tensor, batch.ids, ignoringGradientOf: words.weight.zeroRow),
            positions: EmbeddingTerm(positions.weight.tensor, batch.positions),
            types: EmbeddingTerm(self.types.weight.tensor, types))
        return dropout(norm(sum))
    }
}

/// Self-attention and a feed-forward block, each followed by residual and norm.
///
/// It is not built on ``MultiHeadAttention`` and ``FeedForward``, because the parts of each have the
/// names of its family's checkpoints.
final class BertLayer: Module {
    @ModuleInfo(key: "attention.self") var attention: BertSelfAttention
    @ModuleInfo(key: "attention.output.dense") var attentionOutput: Linear
    @ModuleInfo(key: "attention.output.LayerNorm") var attentionNorm: LayerNorm
    @ModuleInfo(key: "intermediate.dense") var expand: Linear
    @ModuleInfo(key: "output.dense") var contract: Linear
    @ModuleInfo(key: "output.LayerNorm") var norm: LayerNorm
    let attentionDropout: Dropout
    let dropout: Dropout
    let activation: Activation

    init(_ config: BertConfiguration) {
        let rule = Parameter.Initialization.normal(standardDeviation: config.initializerRange)
        let (width, inner) = (config.hiddenSize, config.intermediateSize)
        attentionDropout = Dropout(config.hiddenDropoutProb)
        dropout = Dropout(config.hiddenDropoutProb)
        activation = config.hiddenAct
        super.init()
        attention = BertSelfAttention(config)
        attentionOutput = Linear(width, width, initialization: rule)
        attentionNorm = LayerNorm(width, epsilon: config.layerNormEps)
        expand = Linear(width, inner, initialization: rule)
        contract = Linear(inner, width, initialization: rule)
        norm = LayerNorm(width, epsilon: config.layerNormEps)
    }

    /// - Parameter rows: the rows of `hidden` to compute results for; all by default.
    func callAsFunction(
        _ hidden: Tensor, at rows: [Int32]? = nil, _ segments: SegmentMap
    ) -> Tensor {
        let asking = rows.map { hidden.rows($0) } ?? hidden
        let attended = attentionOutput(attention(asking, hidden, segments))
        let middle = attentionNorm(attended, residual: asking, dropout: attentionDropout)
        return norm(
            contract(expand(middle, activation: activation)), residual: middle, dropout: dropout)
    }
}

/// BERT's self-attention, up to and without its output projection.
///
/// Few rows that attend to many need no keys and values: see `AbsorbedAttention.swift`.
final class BertSelfAttention: Module {
    @ModuleInfo(key: "query") var query: Linear
    @ModuleInfo(key: "key") var key: Linear
    @ModuleInfo(key: "value") var value: Linear
    let dropout: Dropout
    let heads: Int
    let scale: Float

    init(_ config: BertConfiguration) {
        let rule = Parameter.Initialization.normal(standardDeviation: config.initializerRange)
        let width = config.hiddenSize
        dropout = Dropout(config.attentionProbsDropoutProb)
        heads = config.numAttentionHeads
        scale = 1 / Float(width / config.numAttentionHeads).squareRoot()
        super.init()
        query = Linear(width, width, initialization: rule)
        key = Linear(width, width, initialization: rule)
        value = Linear(width, width, initialization: rule)
    }

    /// - Parameters:
    ///   - asking: the rows that attend, `[queryRows, width]`.
    ///   - hidden: the rows attended to, `[keyRows, width]`.
    func callAsFunction(_ asking: Tensor, _ hidden: Tensor, _ segments: SegmentMap) -> Tensor {
        let (queries, mask) = (query(asking), dropout.mask())
        if isCheaperAbsorbed(segments, width: hidden.dim(1)) {
            return absorbed(queries, hidden, segments, mask)
        }
        return .attention(
            queries, key(hidden), value(hidden), segments: segments, heads: heads, scale: scale,
            dropout: mask)
    }
}
