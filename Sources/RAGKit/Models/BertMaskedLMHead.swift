/// BERT's masked-language-model head: what a state says about the word that was hidden at its place.
///
/// The names of its parts are those below `cls.predictions` in a checkpoint.
///
/// Source: Devlin et al. 2018, arXiv:1810.04805, section 3.1.
public final class BertMaskedLMHead: Module {
    @ModuleInfo(key: "bias") var bias: Parameter
    @ModuleInfo(key: "transform.dense") var dense: Linear
    @ModuleInfo(key: "transform.LayerNorm") var norm: LayerNorm
    @ModuleInfo(key: "decoder") var decoder: Embedding
    let activation: Activation

    /// - Parameter words: the table of the encoder, `BertModel.wordEmbeddings`, whose rows the head
    ///   compares states with.
    public init(_ config: BertConfiguration, tying words: Parameter) {
        activation = config.hiddenAct
        super.init()
        bias = Parameter([config.vocabSize], .zeros)
        dense = Linear(
            config.hiddenSize, config.hiddenSize,
            initialization: .normal(standardDeviation: config.initializerRange))
        norm = LayerNorm(config.hiddenSize, epsilon: config.layerNormEps)
        decoder = Embedding(tying: words)
    }

    /// Log-probabilities of words, never for more rows than are asked for.
    ///
    /// - Parameters:
    ///   - hidden: the encoder's states at the hidden places alone, `[rows, hidden]`.
    ///   - targets: the word that was there, one for each row.
    /// - Returns: nats.
    public func logProbabilities(_ hidden: Tensor, targets: [Int32]) -> Tensor {
        projection.logProbabilities(transformed(hidden), targets: targets).target
    }

    /// The logits of all words: `[rows, hidden]` → `[rows, vocabulary]`.
    public func callAsFunction(_ hidden: Tensor) -> Tensor {
        projection.logits(transformed(hidden))
    }

    private func transformed(_ hidden: Tensor) -> Tensor {
        norm(dense(hidden, activation: activation))
    }

    private var projection: VocabularyProjection {
        VocabularyProjection(weight: decoder.weight.tensor, bias: bias.tensor)
    }
}
