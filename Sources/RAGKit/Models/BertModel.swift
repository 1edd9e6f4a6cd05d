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

    /// The table of word vectors, `[vocabulary, hidden]`: what a masked-language-model head shares.
    public var wordEmbeddings: Parameter { embeddings.words.weight }

    /// - Parameter layerCount: how many layers to run; all by default.
    /// - Returns: the states after the last layer run, `[totalTokens, hidden]`.
    public func callAsFunction(_ batch: TokenBatch, layerCount: Int? = nil) -> Tensor {
        let segments = SegmentMap(selfAttention: batch)
        Profile.current?.add(tokens: batch.totalTokens)
        return layers.prefix(layerCount ?? layers.count).reduce(embeddings(batch)) {
            hidden, layer in
            layer.checkpointed([hidden]) { layer($0[0], segments) }
        }
    }

    /// The states of some tokens only, which spares the last layer most of its work: there the other
    /// tokens are attended to, and nothing more.
    ///
    /// - Parameter rows: of the states of all tokens; in any order, and repeated if need be.
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

    /// One vector for each sequence, as DPR and REALM have it: `[batch.count, hidden]`.
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

    /// - Parameter rows: of `hidden`, for which there are results; all by default.
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
/// Where few rows attend to many, no keys and values are made.
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
        if isCheaperWithoutKeys(segments, width: hidden.dim(1)) {
            return withoutKeys(queries, hidden, segments, mask)
        }
        return .attention(
            queries, key(hidden), value(hidden), segments: segments, heads: heads, scale: scale,
            dropout: mask)
    }

    /// Whether to multiply with the weights of keys and values for each query instead of each state.
    private func isCheaperWithoutKeys(_ segments: SegmentMap, width: Int) -> Bool {
        let (queries, keys) = (segments.queryOffsets.last ?? 0, segments.keyOffsets.last ?? 0)
        return (queries - keys) * width + segments.pairs * (heads - 1) < 0
    }

    /// The same for few queries: no state becomes a key or a value. For a state x,
    ///
    ///     q · (K x + b) = (Kᵀ q) · x + q · b      and      Σ p (V x + c) = V (Σ p x) + c Σ p
    ///
    /// where q · b is the same for all keys of a query, so that softmax does not see it: the gradient of
    /// the keys' bias is zero. The sum of p is 1 unless some are dropped out.
    private func withoutKeys(
        _ queries: Tensor, _ hidden: Tensor, _ segments: SegmentMap, _ mask: DropoutMask
    ) -> Tensor {
        let (rows, width) = (queries.dim(0), hidden.dim(1))
        func byHead(_ layer: Linear) -> Tensor {
            layer.weight.tensor.reshaped([heads, width / heads, width])
        }
        let heard = queries.reshaped([rows, heads, width / heads]).permuted([1, 0, 2])
        let asked = heard.matmul(byHead(key)).reshaped([heads * rows, width])
            .withoutEffect(of: key.bias?.tensor)
        let separate = segments.repeatingQueries(heads)
        func read(_ values: Tensor) -> Tensor {
            .attention(
                asked, hidden, values, segments: separate, heads: 1, scale: scale, dropout: mask)
        }
        let states = read(hidden).reshaped([heads, rows, width])
        let found = states.matmul(byHead(value), otherTransposed: true)
            .permuted([1, 0, 2]).reshaped([rows, width])
        guard let bias = value.bias?.tensor else { return found }
        guard mask.rate > 0 else { return found + bias }
        let kept = read(.full(hidden.shape, 1)).mean(axis: -1).reshaped([heads, rows]).transposed()
        let parts = bias.reshaped([heads, width / heads])
        return found
            + (kept.reshaped([rows, heads, 1]).broadcast(to: [rows] + parts.shape) * parts)
            .reshaped([rows, width])
    }
}

extension Tensor {
    /// The same elements, with a gradient of zeros for a tensor that they do not depend on.
    fileprivate func withoutEffect(of other: Tensor?) -> Tensor {
        guard let other else { return self }
        let shape = other.shape
        return .record("withoutEffect", [self, other], value: self) { gradient, sink in
            sink.add(gradient, to: 0)
            sink.add(.zeros(shape), to: 1)
        }
    }
}
