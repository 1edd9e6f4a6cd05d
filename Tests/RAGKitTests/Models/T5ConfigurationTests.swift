import Testing

@testable import RAGKit

@Suite struct T5ConfigurationTests {
    private static let least: JSONValue = ["model_type": "t5", "decoder_start_token_id": 0]

    private static func with(_ values: [String: JSONValue]) -> JSONValue {
        var json = least
        for (key, value) in values { json[key] = value }
        return json
    }

    @Test func defaultsAreTheReferences() throws {
        var expected = T5Configuration()
        expected.original = Self.least
        #expect(try T5Configuration(json: Self.least) == expected)
        #expect(expected.tokenIDs == .init(bos: nil, eos: 1, pad: 0, decoderStart: 0))
        #expect(expected.denseActFn == .relu && !expected.isGatedAct && expected.tieWordEmbeddings)
    }

    @Test func everyKeyIsRead() throws {
        let json = Self.with([
            "vocab_size": 50, "d_model": 12, "d_kv": 7, "d_ff": 9, "num_layers": 3,
            "num_decoder_layers": 4, "num_heads": 5, "relative_attention_num_buckets": 10,
            "relative_attention_max_distance": 20, "dropout_rate": 0.25,
            "layer_norm_epsilon": 0.001, "initializer_factor": 0.5, "tie_word_embeddings": false,
            "eos_token_id": 11, "pad_token_id": 12, "decoder_start_token_id": 13,
            "feed_forward_proj": "gated-silu", "bos_token_id": 4,
        ])
        let config = try T5Configuration(json: json)
        var expected = T5Configuration()
        (expected.vocabSize, expected.dModel, expected.dKV, expected.dFF) = (50, 12, 7, 9)
        (expected.numLayers, expected.numDecoderLayers, expected.numHeads) = (3, 4, 5)
        expected.relativeAttentionNumBuckets = 10
        expected.relativeAttentionMaxDistance = 20
        (expected.dropoutRate, expected.layerNormEpsilon) = (0.25, 0.001)
        (expected.initializerFactor, expected.tieWordEmbeddings) = (0.5, false)
        (expected.denseActFn, expected.isGatedAct) = (.silu, true)
        expected.tokenIDs = .init(bos: nil, eos: 11, pad: 12, decoderStart: 13)
        expected.original = json
        #expect(config == expected)
    }

    @Test func decoderLayersFollowTheEncoders() throws {
        #expect(try T5Configuration(json: Self.with(["num_layers": 2])).numDecoderLayers == 2)
        let json = Self.with(["num_layers": 2, "num_decoder_layers": nil])
        #expect(try T5Configuration(json: json).numDecoderLayers == 2)
    }

    /// `dense_act_fn` and `is_gated_act`, which the reference writes too, count more when they are
    /// there.
    @Test(
        arguments: [
            (["feed_forward_proj": "relu"], Activation.relu, false),
            (["feed_forward_proj": "gelu"], .gelu, false),
            (["feed_forward_proj": "gelu_new"], .geluTanh, false),
            (["feed_forward_proj": "gated-gelu"], .geluTanh, true),
            (["feed_forward_proj": "gated-gelu_new"], .geluTanh, true),
            (["feed_forward_proj": "gated-relu"], .relu, true),
            (["feed_forward_proj": "gated-gelu", "dense_act_fn": "gelu"], .gelu, true),
            (["feed_forward_proj": "relu", "is_gated_act": true], .relu, true),
        ] as [([String: JSONValue], Activation, Bool)])
    func activations(keys: [String: JSONValue], activation: Activation, isGated: Bool) throws {
        let config = try T5Configuration(json: Self.with(keys))
        #expect(config.denseActFn == activation && config.isGatedAct == isGated)
        let again = try T5Configuration(json: config.json)
        #expect(again.denseActFn == activation && again.isGatedAct == isGated)
    }

    @Test func writtenAndReadAgain() throws {
        var config = try T5Configuration(
            json: Self.with(["somebody_elses": ["key": 3], "bos_token_id": 4, "n_positions": 512]))
        (config.denseActFn, config.isGatedAct, config.dKV) = (.geluTanh, true, 5)
        (config.layerNormEpsilon, config.tieWordEmbeddings) = (1e-5, false)
        config.tokenIDs.decoderStart = 9
        let json = config.json
        #expect(json["feed_forward_proj"] == "gated-gelu" && json["dense_act_fn"] == "gelu_new")
        #expect(json["somebody_elses"] == ["key": 3] && json["n_positions"] == 512)
        #expect(json["bos_token_id"] == 4 && json["model_type"] == "t5")
        var again = try T5Configuration(json: json)
        again.original = config.original
        #expect(again == config)
    }

    @Test(
        arguments: [
            (["d_kv": 0], "d_kv"), (["num_heads": -1], "num_heads"),
            (["num_layers": 0], "num_layers"),
            (["d_model": 3_000_000_000], "d_model"),
            (["num_heads": 100_000, "d_kv": 100_000], "d_kv"),
            (["relative_attention_num_buckets": 3], "relative_attention_num_buckets"),
            (["relative_attention_max_distance": 16], "relative_attention_max_distance"),
            (["dropout_rate": 1], "dropout_rate"),
            (["layer_norm_epsilon": 0], "layer_norm_epsilon"),
            (["initializer_factor": 0], "initializer_factor"),
            (["feed_forward_proj": "gated-"], "feed_forward_proj"),
            (["feed_forward_proj": "half-relu"], "feed_forward_proj"),
            (["feed_forward_proj": "gated-relu-relu"], "feed_forward_proj"),
            (["dense_act_fn": "quick_gelu"], "dense_act_fn"),
            (["decoder_start_token_id": nil], "decoder_start_token_id"),
            (["decoder_start_token_id": 32_128], "decoder_start_token_id"),
            (["eos_token_id": -1], "eos_token_id"), (["pad_token_id": 40_000], "pad_token_id"),
        ] as [([String: JSONValue], String)])
    func whatCannotBeIsNamed(keys: [String: JSONValue], key: String) throws {
        let error = #expect(throws: ConfigurationError.self) {
            _ = try T5Configuration(json: Self.with(keys))
        }
        #expect(error?.description.contains("'\(key)'") == true, "\(error.debugDescription)")
    }

    @Test func wrongTypesAreNamed() throws {
        for key in ["d_model", "feed_forward_proj", "tie_word_embeddings", "is_gated_act"] {
            let error = #expect(throws: JSONError.self) {
                _ = try T5Configuration(json: Self.with([key: ["a", "list"]]))
            }
            #expect(error?.description.contains(key) == true)
        }
    }
}
