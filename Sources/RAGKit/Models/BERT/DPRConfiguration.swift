/// The settings of a DPR encoder: a BERT, its pooling, and an optional projection.
public struct DPRConfiguration: Sendable, Equatable {
    public var role: EncoderRole
    public var bert: BertConfiguration
    /// The length of the vectors; 0 leaves the projection out.
    public var projectionDim = 0
    public var pooling = Pooling.cls
    /// The activation after the projection (sentence-transformers' dense layer).
    public var projectionActivation = Activation.identity
    /// The length of the longest sequence in training, in tokens, if below what its positions
    /// allow.
    public var maxTokens: Int?
    /// True if vectors are divided by their Euclidean norm.
    public var normalizes = false
    /// The `config.json` that this was read from; keys unknown here are kept for writing.
    var original: JSONValue = [:]

    public init(role: EncoderRole, bert: BertConfiguration) {
        self.role = role
        self.bert = bert
    }

    /// Reads the `config.json` of a DPR encoder or a BERT.
    ///
    /// Besides the reference's keys it may hold RAGKit's own: `ragkit_pooling`, `ragkit_normalize`,
    /// `ragkit_projection_activation` and `ragkit_max_tokens`.
    ///
    /// - Throws: `JSONError` or `ConfigurationError` naming the key.
    public init(role: EncoderRole, json: JSONValue) throws {
        self.init(role: role, bert: try BertConfiguration(json: json))
        original = json
        let reader = ConfigurationReader(json: json, model: "DPR encoder")
        let type = try json.string("model_type") ?? "dpr"
        guard type == "dpr" || type == "bert" else {
            throw ConfigurationError.unsupported(
                key: "model_type", value: type, expected: "dpr or bert")
        }
        projectionDim = try reader.size("projection_dim", default: 0, atLeast: 0)
        let name = try json.string("ragkit_pooling") ?? Pooling.cls.rawValue
        guard let pooling = Pooling(rawValue: name) else {
            throw ConfigurationError.unsupported(
                key: "ragkit_pooling", value: name, expected: "cls or mean")
        }
        self.pooling = pooling
        normalizes = try json.bool("ragkit_normalize") ?? false
        projectionActivation = try reader.activation(
            "ragkit_projection_activation", default: Activation.identity.huggingFaceName)
        if json["ragkit_max_tokens"] != nil { maxTokens = try reader.size("ragkit_max_tokens") }
    }
}
