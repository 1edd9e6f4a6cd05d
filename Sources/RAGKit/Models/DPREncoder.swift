/// How the states of a sequence become its vector.
public enum Pooling: String, Sendable {
    /// The first token's state (DPR).
    case cls
    /// The mean of all tokens' states.
    case mean
}

/// Which side of retrieval an encoder serves; checkpoints name its weights accordingly.
public enum EncoderRole: String, Sendable {
    case question
    case context

    /// The first part of the names in a DPR checkpoint.
    var checkpointKey: String { self == .question ? "question_encoder" : "ctx_encoder" }
    /// The class that transformers loads it with.
    var architecture: String { self == .question ? "DPRQuestionEncoder" : "DPRContextEncoder" }
}

/// A DPR encoder: a BERT, how its states are pooled, and an optional projection.
public struct DPRConfiguration: Sendable, Equatable {
    public var role: EncoderRole
    public var bert: BertConfiguration
    /// The length of the vectors; 0 leaves the projection out.
    public var projectionDim = 0
    public var pooling = Pooling.cls
    /// What is applied to the projection (sentence-transformers' dense layer).
    public var projectionActivation = Activation.identity
    /// The longest sequence the encoder was trained for, if less than its positions allow.
    public var maxTokens: Int?
    /// Whether vectors are divided by their Euclidean norm.
    public var normalizes = false
    /// The `config.json` this was read from, with keys that only others know.
    var original: JSONValue = [:]

    public init(role: EncoderRole, bert: BertConfiguration) {
        self.role = role
        self.bert = bert
    }

    /// Reads the `config.json` of a DPR encoder or a BERT. RAGKit's own keys `ragkit_pooling`,
    /// `ragkit_normalize`, `ragkit_projection_activation` and `ragkit_max_tokens` are read beside the
    /// reference's.
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

/// DPR's question or context encoder: BERT, pooling, and an optional projection and normalization.
///
/// Token types are all 0 also for pairs of title and text, as in the reference.
///
/// Source: Karpukhin et al. 2020, arXiv:2004.04906.
public final class DPREncoder: Module, TextEncoder, HuggingFaceModel {
    public let configuration: DPRConfiguration
    @ModuleInfo var body: DPRBody

    public init(configuration: DPRConfiguration) {
        self.configuration = configuration
        super.init()
        _body = ModuleInfo(
            wrappedValue: DPRBody(configuration), key: configuration.role.checkpointKey)
    }

    public var dimension: Int {
        configuration.projectionDim > 0
            ? configuration.projectionDim : configuration.bert.hiddenSize
    }

    public var maxTokens: Int {
        min(configuration.maxTokens ?? .max, configuration.bert.maxPositionEmbeddings)
    }

    public func hiddenStates(_ batch: TokenBatch) -> Tensor { body.bert(batch) }

    public func callAsFunction(_ batch: TokenBatch) -> Tensor {
        precondition(
            batch.lengths.allSatisfy { (1...maxTokens).contains($0) },
            "DPREncoder: sequences of 1 to \(maxTokens) tokens are needed")
        let pooled = body.bert(batch, pooling: configuration.pooling)
        let projected =
            body.projection.map {
                $0(pooled, activation: configuration.projectionActivation)
            } ?? pooled
        return configuration.normalizes ? projected.l2Normalized() : projected
    }

    public var huggingFaceConfiguration: JSONValue {
        var json = configuration.bert.json(over: configuration.original)
        json["model_type"] = "dpr"
        json["architectures"] = .array([.string(configuration.role.architecture)])
        json["projection_dim"] = .int(configuration.projectionDim)
        // Keys of ours appear only where the reference has no word for what they say.
        let activation = configuration.projectionActivation
        json["ragkit_pooling"] =
            configuration.pooling == .cls ? nil : .string(configuration.pooling.rawValue)
        json["ragkit_normalize"] = configuration.normalizes ? true : nil
        json["ragkit_projection_activation"] =
            activation == .identity ? nil : .string(activation.huggingFaceName)
        json["ragkit_max_tokens"] = configuration.maxTokens.map { .int($0) }
        return json
    }
}

/// What lies under the role's key in a checkpoint.
final class DPRBody: Module {
    @ModuleInfo(key: "bert_model") var bert: BertModel
    @ModuleInfo(key: "encode_proj") var projection: Linear?

    init(_ config: DPRConfiguration) {
        super.init()
        bert = BertModel(config.bert)
        projection =
            config.projectionDim > 0
            ? Linear(
                config.bert.hiddenSize, config.projectionDim,
                initialization: .normal(standardDeviation: config.bert.initializerRange))
            : nil
    }
}
