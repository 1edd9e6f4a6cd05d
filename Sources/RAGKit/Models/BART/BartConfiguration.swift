/// The sizes and rates of a BART encoder-decoder; defaults are BART-large's, as in the reference.
///
/// Source: Lewis et al. 2019, arXiv:1910.13461.
public struct BartConfiguration: Sendable, Equatable {
    /// The sizes of one of the two stacks.
    public struct Stack: Sendable, Equatable {
        public var layers: Int
        public var heads: Int
        public var ffnDim: Int

        public init(layers: Int, heads: Int, ffnDim: Int) {
            self.layers = layers
            self.heads = heads
            self.ffnDim = ffnDim
        }
    }

    public var vocabSize = 50_265
    public var dModel = 1024
    public var encoder = Stack(layers: 12, heads: 16, ffnDim: 4096)
    public var decoder = Stack(layers: 12, heads: 16, ffnDim: 4096)
    public var activationFunction = Activation.gelu
    public var dropout: Float = 0.1
    public var attentionDropout: Float = 0
    public var activationDropout: Float = 0
    /// The length of the longest context or target, in tokens.
    public var maxPositionEmbeddings = 1024
    /// True if embeddings are multiplied by the square root of the hidden size.
    public var scaleEmbedding = false
    /// True if logits are computed with the embedding matrix.
    public var tieWordEmbeddings = true
    /// The standard deviation of initial weights.
    public var initStd: Float = 0.02
    public var tokenIDs = GeneratorTokenIDs(bos: 0, eos: 2, pad: 1, decoderStart: 2)
    /// The `config.json` that this was read from; keys unknown here are kept for writing.
    var original: JSONValue = ["forced_eos_token_id": 2]

    public init() {}

    /// Reads a BART `config.json`.
    ///
    /// - Throws: `JSONError` or `ConfigurationError` naming the key.
    public init(json: JSONValue) throws {
        let reader = ConfigurationReader(json: json, model: "BART generator")
        original = json
        vocabSize = try reader.size("vocab_size", default: vocabSize)
        dModel = try reader.size("d_model", default: dModel)
        encoder = try Self.stack("encoder", reader, dModel)
        decoder = try Self.stack("decoder", reader, dModel)
        activationFunction = try reader.activation("activation_function", default: "gelu")
        dropout = try reader.rate("dropout", default: dropout)
        attentionDropout = try reader.rate("attention_dropout", default: attentionDropout)
        activationDropout = try reader.rate("activation_dropout", default: activationDropout)
        maxPositionEmbeddings = try reader.size(
            "max_position_embeddings", default: maxPositionEmbeddings)
        scaleEmbedding = try json.bool("scale_embedding") ?? false
        tieWordEmbeddings = try json.bool("tie_word_embeddings") ?? true
        initStd = try reader.positive("init_std", default: initStd)
        func id(_ key: String, _ value: Int32) throws -> Int32 {
            try reader.tokenID(key, default: value, below: vocabSize)
        }
        tokenIDs.bos = try id("bos_token_id", 0)
        tokenIDs.eos = try id("eos_token_id", tokenIDs.eos)
        tokenIDs.pad = try id("pad_token_id", tokenIDs.pad)
        tokenIDs.decoderStart = try id("decoder_start_token_id", tokenIDs.decoderStart)
        for key in ["encoder_layerdrop", "decoder_layerdrop"] {
            let rate = try json.double(key) ?? 0
            guard rate == 0 else {
                throw ConfigurationError.unsupported(
                    key: key, value: "\(rate)", expected: "0 (whole layers are never dropped)")
            }
        }
    }

    private static func stack(
        _ name: String, _ reader: ConfigurationReader, _ width: Int
    ) throws -> Stack {
        let stack = Stack(
            layers: try reader.size("\(name)_layers", default: 12),
            heads: try reader.size("\(name)_attention_heads", default: 16),
            ffnDim: try reader.size("\(name)_ffn_dim", default: 4096))
        try reader.checkHeads(stack.heads, divide: width, key: "\(name)_attention_heads")
        return stack
    }

    /// The settings as `config.json`, with the unknown keys that were read.
    var json: JSONValue {
        var json = original
        json["model_type"] = "bart"
        json["architectures"] = ["BartForConditionalGeneration"]
        json["is_encoder_decoder"] = true
        json["vocab_size"] = .int(vocabSize)
        json["d_model"] = .int(dModel)
        for (name, stack) in [("encoder", encoder), ("decoder", decoder)] {
            json["\(name)_layers"] = .int(stack.layers)
            json["\(name)_attention_heads"] = .int(stack.heads)
            json["\(name)_ffn_dim"] = .int(stack.ffnDim)
        }
        json["num_hidden_layers"] = .int(encoder.layers)
        json["activation_function"] = .string(activationFunction.huggingFaceName)
        json["dropout"] = .number(dropout)
        json["attention_dropout"] = .number(attentionDropout)
        json["activation_dropout"] = .number(activationDropout)
        json["max_position_embeddings"] = .int(maxPositionEmbeddings)
        json["scale_embedding"] = .bool(scaleEmbedding)
        json["tie_word_embeddings"] = .bool(tieWordEmbeddings)
        json["init_std"] = .number(initStd)
        json["bos_token_id"] = tokenIDs.bos.map { .int(Int($0)) } ?? .null
        json["eos_token_id"] = .int(Int(tokenIDs.eos))
        json["pad_token_id"] = .int(Int(tokenIDs.pad))
        json["decoder_start_token_id"] = .int(Int(tokenIDs.decoderStart))
        return json
    }
}
