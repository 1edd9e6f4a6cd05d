/// BERT's masked-language-model head: predicts the word that was hidden at a state's place.
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

    /// - Parameter words: the encoder's table, `BertModel.wordEmbeddings`, which also makes the
    ///   logits.
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

    /// The log-probability of each row's hidden word.
    ///
    /// - Parameters:
    ///   - hidden: the encoder's states at the hidden places alone, `[rows, hidden]`.
    ///   - targets: the word that was there, one for each row.
    /// - Returns: `[rows]`, in nats.
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
