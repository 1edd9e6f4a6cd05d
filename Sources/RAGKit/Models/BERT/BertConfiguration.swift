/// The sizes and rates of a BERT encoder.
///
/// Source: Devlin et al. 2018, arXiv:1810.04805; defaults are BERT-base's.
public struct BertConfiguration: Sendable, Equatable {
    public var vocabSize = 30_522
    public var hiddenSize = 768
    public var numHiddenLayers = 12
    public var numAttentionHeads = 12
    public var intermediateSize = 3072
    public var hiddenAct = Activation.gelu
    public var hiddenDropoutProb: Float = 0.1
    public var attentionProbsDropoutProb: Float = 0.1
    /// The length of the longest sequence, in tokens.
    public var maxPositionEmbeddings = 512
    public var typeVocabSize = 2
    public var layerNormEps: Float = 1e-12
    public var padTokenID: Int32 = 0
    /// The standard deviation of initial weights.
    public var initializerRange: Float = 0.02

    public init() {}

    /// Reads the `config.json` of a BERT or DPR model.
    ///
    /// - Throws: `JSONError` or `ConfigurationError` naming the key.
    public init(json: JSONValue) throws {
        let reader = ConfigurationReader(json: json, model: "BERT encoder")
        vocabSize = try reader.size("vocab_size", default: vocabSize)
        hiddenSize = try reader.size("hidden_size", default: hiddenSize)
        numHiddenLayers = try reader.size("num_hidden_layers", default: numHiddenLayers)
        numAttentionHeads = try reader.size("num_attention_heads", default: numAttentionHeads)
        intermediateSize = try reader.size("intermediate_size", default: intermediateSize)
        hiddenAct = try reader.activation("hidden_act", default: "gelu")
        hiddenDropoutProb = try reader.rate("hidden_dropout_prob", default: hiddenDropoutProb)
        attentionProbsDropoutProb = try reader.rate(
            "attention_probs_dropout_prob", default: attentionProbsDropoutProb)
        maxPositionEmbeddings = try reader.size(
            "max_position_embeddings", default: maxPositionEmbeddings)
        typeVocabSize = try reader.size("type_vocab_size", default: typeVocabSize)
        layerNormEps = try reader.positive("layer_norm_eps", default: layerNormEps)
        padTokenID = try reader.tokenID("pad_token_id", default: padTokenID, below: vocabSize)
        initializerRange = try reader.positive("initializer_range", default: initializerRange)
        try reader.checkHeads(numAttentionHeads, divide: hiddenSize, key: "num_attention_heads")
        let positions = try json.string("position_embedding_type") ?? "absolute"
        guard positions == "absolute" else {
            throw ConfigurationError.unsupported(
                key: "position_embedding_type", value: positions, expected: "absolute")
        }
    }

    /// `base` with the settings as the keys of a `config.json`.
    func json(over base: JSONValue) -> JSONValue {
        var json = base
        json["vocab_size"] = .int(vocabSize)
        json["hidden_size"] = .int(hiddenSize)
        json["num_hidden_layers"] = .int(numHiddenLayers)
        json["num_attention_heads"] = .int(numAttentionHeads)
        json["intermediate_size"] = .int(intermediateSize)
        json["hidden_act"] = .string(hiddenAct.huggingFaceName)
        json["hidden_dropout_prob"] = .number(hiddenDropoutProb)
        json["attention_probs_dropout_prob"] = .number(attentionProbsDropoutProb)
        json["max_position_embeddings"] = .int(maxPositionEmbeddings)
        json["type_vocab_size"] = .int(typeVocabSize)
        json["layer_norm_eps"] = .number(layerNormEps)
        json["pad_token_id"] = .int(Int(padTokenID))
        json["initializer_range"] = .number(initializerRange)
        return json
    }
}
