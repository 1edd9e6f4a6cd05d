/// The sizes and rates of a T5 encoder-decoder; defaults are T5-small's, as in the reference.
///
/// T5 v1.0 has ReLU and one matrix for embeddings and logits; v1.1 and Flan-T5 have gated GELU and
/// a separate matrix for the logits.
///
/// Source: Raffel et al. 2020, arXiv:1910.10683; v1.1: Shazeer 2020, arXiv:2002.05202.
public struct T5Configuration: Sendable, Equatable {
    public var vocabSize = 32_128
    public var dModel = 512
    /// The width of a head, whatever the width of the model.
    public var dKV = 64
    public var dFF = 2048
    public var numLayers = 6
    public var numDecoderLayers = 6
    public var numHeads = 8
    /// The number of buckets of distances in the relative bias, both directions together.
    public var relativeAttentionNumBuckets = 32
    /// The distance, in tokens, from which on all share the relative bias's last bucket.
    public var relativeAttentionMaxDistance = 128
    /// The activation of the feed-forward blocks.
    public var denseActFn = Activation.relu
    /// True if the activation's result multiplies a second linear map of the input (gated units).
    public var isGatedAct = false
    public var dropoutRate: Float = 0.1
    public var layerNormEpsilon: Float = 1e-6
    /// Multiplies the standard deviation of all initial weights.
    public var initializerFactor: Float = 1
    /// True if logits are computed with the embedding matrix, from states times `dModel ** -0.5`.
    public var tieWordEmbeddings = true
    /// True if logits are computed with the embedding matrix although `tieWordEmbeddings` is false,
    /// from unscaled states. The reference's RAG-token class does so with v1.1, unless the RAG
    /// configuration says that nothing is tied.
    var sharesUnscaledHead = false
    /// T5 has no token that begins a target: `bos` stays `nil`.
    public var tokenIDs = GeneratorTokenIDs(bos: nil, eos: 1, pad: 0, decoderStart: 0)
    /// The `config.json` that this was read from; keys unknown here are kept for writing.
    var original: JSONValue = [:]

    public init() {}

    /// The width of all heads together.
    var innerDim: Int { numHeads * dKV }

    /// Reads a T5 `config.json`.
    ///
    /// - Throws: `JSONError` or `ConfigurationError` naming the key. The start token has no default
    ///   in the reference, so `decoder_start_token_id` must be there.
    public init(json: JSONValue) throws {
        let reader = ConfigurationReader(json: json, model: "T5 generator")
        original = json
        vocabSize = try reader.size("vocab_size", default: vocabSize)
        dModel = try reader.size("d_model", default: dModel)
        dKV = try reader.size("d_kv", default: dKV)
        dFF = try reader.size("d_ff", default: dFF)
        numLayers = try reader.size("num_layers", default: numLayers)
        numDecoderLayers = try reader.size("num_decoder_layers", default: numLayers)
        numHeads = try reader.size("num_heads", default: numHeads)
        dropoutRate = try reader.rate("dropout_rate", default: dropoutRate)
        layerNormEpsilon = try reader.positive("layer_norm_epsilon", default: layerNormEpsilon)
        initializerFactor = try reader.positive("initializer_factor", default: initializerFactor)
        tieWordEmbeddings = try json.bool("tie_word_embeddings") ?? tieWordEmbeddings
        guard innerDim <= 1 << 30 else {
            throw ConfigurationError.unsupported(
                key: "d_kv", value: "\(dKV)", expected: "at most \(1 << 30) in \(numHeads) heads")
        }
        try readRelativeBias(reader)
        try readFeedForward(reader)
        try readTokenIDs(reader)
    }

    private mutating func readRelativeBias(_ reader: ConfigurationReader) throws {
        // Each direction needs one bucket for near and one for far distances.
        relativeAttentionNumBuckets = try reader.size(
            "relative_attention_num_buckets", default: relativeAttentionNumBuckets, atLeast: 4)
        // Half of the decoder's buckets hold one distance each; the others reach from there on.
        relativeAttentionMaxDistance = try reader.size(
            "relative_attention_max_distance", default: relativeAttentionMaxDistance,
            atLeast: relativeAttentionNumBuckets / 2 + 1)
    }

    /// Reads `feed_forward_proj`, and the two keys that the reference derives from it. They stand
    /// beside it in files, and take precedence.
    private mutating func readFeedForward(_ reader: ConfigurationReader) throws {
        let key = "feed_forward_proj"
        let name = try reader.json.string(key) ?? "relu"
        let isGated = name.hasPrefix("gated-")
        isGatedAct = try reader.json.bool("is_gated_act") ?? isGated
        if let written = try reader.json.string("dense_act_fn") {
            denseActFn = try reader.activation("dense_act_fn", named: written)
        } else if name == "gated-gelu" {
            denseActFn = .geluTanh  // this name has always meant the tanh form
        } else {
            denseActFn = try reader.activation(
                key, named: isGated ? String(name.dropFirst("gated-".count)) : name)
        }
    }

    private mutating func readTokenIDs(_ reader: ConfigurationReader) throws {
        func id(_ key: String, default value: Int32? = nil) throws -> Int32 {
            try reader.tokenID(key, default: value, below: vocabSize)
        }
        tokenIDs.eos = try id("eos_token_id", default: tokenIDs.eos)
        tokenIDs.pad = try id("pad_token_id", default: tokenIDs.pad)
        tokenIDs.decoderStart = try id("decoder_start_token_id")
    }

    /// The settings as `config.json`, with the unknown keys that were read.
    var json: JSONValue {
        var json = original
        json["model_type"] = "t5"
        json["architectures"] = ["T5ForConditionalGeneration"]
        json["is_encoder_decoder"] = true
        for (key, size) in [
            ("vocab_size", vocabSize), ("d_model", dModel), ("d_kv", dKV), ("d_ff", dFF),
            ("num_layers", numLayers), ("num_decoder_layers", numDecoderLayers),
            ("num_heads", numHeads),
            ("relative_attention_num_buckets", relativeAttentionNumBuckets),
            ("relative_attention_max_distance", relativeAttentionMaxDistance),
            ("eos_token_id", Int(tokenIDs.eos)), ("pad_token_id", Int(tokenIDs.pad)),
            ("decoder_start_token_id", Int(tokenIDs.decoderStart)),
        ] {
            json[key] = .int(size)
        }
        let activation = denseActFn.huggingFaceName
        let isOldName = isGatedAct && denseActFn == .geluTanh
        json["feed_forward_proj"] = .string(
            isOldName ? "gated-gelu" : (isGatedAct ? "gated-" : "") + activation)
        json["dense_act_fn"] = .string(activation)
        json["is_gated_act"] = .bool(isGatedAct)
        json["dropout_rate"] = .number(dropoutRate)
        json["layer_norm_epsilon"] = .number(layerNormEpsilon)
        json["initializer_factor"] = .number(initializerFactor)
        json["tie_word_embeddings"] = .bool(tieWordEmbeddings)
        return json
    }
}
