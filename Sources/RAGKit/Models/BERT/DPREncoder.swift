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

    public var vocabularySize: Int { configuration.bert.vocabSize }
    public var maxTokens: Int? { longest }

    private var longest: Int {
        min(configuration.maxTokens ?? .max, configuration.bert.maxPositionEmbeddings)
    }

    public func callAsFunction(_ batch: TokenBatch) -> Tensor {
        precondition(
            batch.lengths.allSatisfy { (1...longest).contains($0) },
            "DPREncoder: sequences of 1 to \(longest) tokens are needed")
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
        // Keys of our own are written only where the reference has none and the value is not usual.
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

/// The parts of an encoder that lie below the role's key in a checkpoint.
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
