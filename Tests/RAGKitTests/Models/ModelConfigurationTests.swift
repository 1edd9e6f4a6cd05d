import Testing

@testable import RAGKit

/// The keys of BART's, BERT's and DPR's `config.json`, each at a value that is not the default.
@Suite struct ModelConfigurationTests {
    // MARK: BART

    @Test func everyKeyOfBart() throws {
        let json: JSONValue = [
            "model_type": "bart", "vocab_size": 50, "d_model": 12, "encoder_layers": 3,
            "encoder_attention_heads": 4, "encoder_ffn_dim": 9, "decoder_layers": 2,
            "decoder_attention_heads": 6, "decoder_ffn_dim": 11, "activation_function": "relu",
            "dropout": 0.25, "attention_dropout": 0.125, "activation_dropout": 0.5,
            "max_position_embeddings": 33, "scale_embedding": true,
            "tie_word_embeddings": false, "init_std": 0.75, "bos_token_id": 10,
            "eos_token_id": 11, "pad_token_id": 12, "decoder_start_token_id": 13,
        ]
        var expected = BartConfiguration()
        (expected.vocabSize, expected.dModel) = (50, 12)
        expected.encoder = .init(layers: 3, heads: 4, ffnDim: 9)
        expected.decoder = .init(layers: 2, heads: 6, ffnDim: 11)
        expected.activationFunction = .relu
        (expected.dropout, expected.attentionDropout) = (0.25, 0.125)
        (expected.activationDropout, expected.maxPositionEmbeddings) = (0.5, 33)
        (expected.scaleEmbedding, expected.tieWordEmbeddings) = (true, false)
        expected.initStd = 0.75
        expected.tokenIDs = .init(bos: 10, eos: 11, pad: 12, decoderStart: 13)
        expected.original = json
        let config = try BartConfiguration(json: json)
        #expect(config == expected)
        var again = try BartConfiguration(json: config.json)
        again.original = json
        #expect(again == config, "written and read again")
    }

    @Test func defaultsOfBartAreTheReferences() throws {
        var expected = BartConfiguration()
        expected.original = [:]
        #expect(try BartConfiguration(json: [:]) == expected)
        #expect(expected.tokenIDs == .init(bos: 0, eos: 2, pad: 1, decoderStart: 2))
    }

    @Test(
        arguments: [
            (["dropout": 1], "dropout"), (["attention_dropout": -0.5], "attention_dropout"),
            (["activation_dropout": 2], "activation_dropout"),
            (["encoder_attention_heads": 5], "encoder_attention_heads"),
            (["decoder_attention_heads": 5], "decoder_attention_heads"),
            (["activation_function": "mish"], "activation_function"),
            (["encoder_layerdrop": 0.5], "encoder_layerdrop"),
            (["decoder_layerdrop": 0.5], "decoder_layerdrop"), (["init_std": 0], "init_std"),
            (["vocab_size": 0], "vocab_size"), (["d_model": 3_000_000_000], "d_model"),
            (["max_position_embeddings": -1], "max_position_embeddings"),
            (["pad_token_id": 50_265], "pad_token_id"),
            (["decoder_start_token_id": 50_265], "decoder_start_token_id"),
            (["eos_token_id": -1], "eos_token_id"),
        ] as [(JSONValue, String)])
    func whatBartCannotBeIsNamed(json: JSONValue, key: String) {
        let error = #expect(throws: ConfigurationError.self) {
            _ = try BartConfiguration(json: json)
        }
        #expect(error?.description.contains("'\(key)'") == true, "\(error.debugDescription)")
    }

    // MARK: BERT and DPR

    @Test func everyKeyOfBertAndDPR() throws {
        let json: JSONValue = [
            "model_type": "dpr", "vocab_size": 50, "hidden_size": 12, "num_hidden_layers": 3,
            "num_attention_heads": 4, "intermediate_size": 9, "hidden_act": "gelu_new",
            "hidden_dropout_prob": 0.25, "attention_probs_dropout_prob": 0.125,
            "max_position_embeddings": 33, "type_vocab_size": 3, "layer_norm_eps": 0.5,
            "pad_token_id": 7, "initializer_range": 0.75, "projection_dim": 5,
            "position_embedding_type": "absolute", "ragkit_pooling": "mean",
            "ragkit_normalize": true, "ragkit_projection_activation": "tanh",
            "ragkit_max_tokens": 20,
        ]
        var bert = BertConfiguration()
        (bert.vocabSize, bert.hiddenSize, bert.numHiddenLayers) = (50, 12, 3)
        (bert.numAttentionHeads, bert.intermediateSize) = (4, 9)
        bert.hiddenAct = .geluTanh
        (bert.hiddenDropoutProb, bert.attentionProbsDropoutProb) = (0.25, 0.125)
        (bert.maxPositionEmbeddings, bert.typeVocabSize) = (33, 3)
        (bert.layerNormEps, bert.padTokenID, bert.initializerRange) = (0.5, 7, 0.75)
        #expect(try BertConfiguration(json: json) == bert)
        var expected = DPRConfiguration(role: .context, bert: bert)
        (expected.projectionDim, expected.pooling, expected.normalizes) = (5, .mean, true)
        expected.projectionActivation = .tanh
        expected.maxTokens = 20
        expected.original = json
        let config = try DPRConfiguration(role: .context, json: json)
        #expect(config == expected)
        let encoder = DPREncoder(configuration: config)
        #expect(encoder.maxTokens == 20 && encoder.dimension == 5)
        var again = try DPRConfiguration(
            role: .context, json: encoder.huggingFaceConfiguration)
        again.original = json
        #expect(again == config, "written and read again")
    }

    @Test func defaultsOfDPRAreTheReferences() throws {
        let config = try DPRConfiguration(role: .question, json: [:])
        #expect(config.bert == BertConfiguration())
        #expect(config.projectionDim == 0 && config.pooling == .cls && !config.normalizes)
    }

    @Test(
        arguments: [
            (["num_attention_heads": 5], "num_attention_heads"),
            (["hidden_act": "mish"], "hidden_act"), (["layer_norm_eps": 0], "layer_norm_eps"),
            (["hidden_dropout_prob": 1], "hidden_dropout_prob"),
            (["attention_probs_dropout_prob": -1], "attention_probs_dropout_prob"),
            (["type_vocab_size": 0], "type_vocab_size"),
            (["initializer_range": -1], "initializer_range"),
            (["position_embedding_type": "relative_key"], "position_embedding_type"),
            (["pad_token_id": 30_522], "pad_token_id"), (["model_type": "roberta"], "model_type"),
            (["projection_dim": -1], "projection_dim"),
            (["ragkit_pooling": "max"], "ragkit_pooling"),
            (["ragkit_projection_activation": "mish"], "ragkit_projection_activation"),
            (["ragkit_max_tokens": 0], "ragkit_max_tokens"),
        ] as [(JSONValue, String)])
    func whatAnEncoderCannotBeIsNamed(json: JSONValue, key: String) {
        let error = #expect(throws: ConfigurationError.self) {
            _ = try DPRConfiguration(role: .question, json: json)
        }
        #expect(error?.description.contains("'\(key)'") == true, "\(error.debugDescription)")
    }

    // MARK: What the keys do

    @Test(arguments: [Activation.relu, .geluTanh])
    func activationsTypesAndEpsilonOfBert(activation: Activation) {
        var config = TinyModels.bert
        (config.hiddenAct, config.layerNormEps, config.typeVocabSize) = (activation, 0.5, 3)
        let model = BertModel(config)
        model.randomize(seed: 3)
        let batch = TokenBatch(
            TinyModels.batch.sequences,
            typeIDs: TinyModels.batch.sequences.map { $0.indices.map { Int32($0 % 3) } })
        expectClose(model(batch), NaiveTransformer(model, width: 12).bert(batch, config))
    }

    @Test(arguments: [Activation.relu, .geluTanh])
    func activationsOfBart(activation: Activation) {
        var config = TinyModels.bart
        config.activationFunction = activation
        let model = BartGenerator(configuration: config)
        model.randomize(seed: 6)
        let contexts = TokenBatch([[5, 7, 11, 5], [22]])
        let inputs = TokenBatch([[2, 0, 6, 8], [2, 9]])
        let naive = NaiveTransformer(model, width: 12)
        let memory = naive.bartEncoder(contexts, config)
        expectClose(model.encode(contexts).hidden, memory)
        expectClose(
            model.decode(inputs, model.encode(contexts), attending: [[0], [1, 0]]),
            naive.bartDecoder(
                inputs, memory: memory, memoryOffsets: contexts.offsets,
                attended: [[0], [1, 0]], config))
    }

    /// Initial weights are as wide as the configuration says; gains are 1, biases 0.
    @Test(arguments: [Float(0.02), 0.5]) func initialization(width: Float) {
        var bert = TinyModels.bert
        (bert.vocabSize, bert.initializerRange) = (200, width)
        var dpr = DPRConfiguration(role: .question, bert: bert)
        dpr.projectionDim = 7
        var bart = TinyModels.bart
        (bart.vocabSize, bart.initStd, bart.tieWordEmbeddings) = (200, width, false)
        let models: [Module] = [DPREncoder(configuration: dpr), BartGenerator(configuration: bart)]
        for model in models {
            var generator = SeededGenerator(seed: 8)
            model.initialize(using: &generator)
            for (name, parameter) in model.namedParameters() {
                let values = parameter.value.doubles
                guard !name.hasSuffix("bias") else {
                    #expect(values.allSatisfy { $0 == 0 }, "\(name)")
                    continue
                }
                guard !name.lowercased().contains("norm") else {
                    #expect(values.allSatisfy { $0 == 1 }, "\(name)")
                    continue
                }
                let found = (values.reduce(0) { $0 + $1 * $1 } / Double(values.count)).squareRoot()
                // Of n normal numbers the root mean square errs by 1/√(2n): six times that is never.
                let slack = 6 / (2 * Double(values.count)).squareRoot()
                expectClose(found, Double(width), relative: slack, name)
            }
        }
    }

    /// Every setting of a RAG model, each at a value that is not the default.
    @Test func everySettingOfRagIsWrittenAndRead() throws {
        var config = RagConfiguration()
        (config.marginalization, config.nDocs) = (.sequence, 3)
        (config.titleSep, config.docSep, config.prefix) = (" : ", " ;; ", "read: ")
        (config.maxCombinedLength, config.maxQuestionLength) = (77, 66)
        (config.maxTargetLength, config.labelSmoothing) = (11, 0.125)
        (config.excludeBosScore, config.doDeduplication) = (true, false)
        (config.sequenceDecoding, config.compatibility) = (.fast, .huggingFace)
        let json = config.json(
            questionEncoder: ["model_type": "dpr"], generator: ["model_type": "bart"])
        var again = try RagConfiguration(json: json)
        again.original = config.original
        #expect(again == config)
        for (key, value) in [
            ("n_docs", 0), ("max_combined_length", 0), ("label_smoothing", 1),
            ("ragkit_sequence_decoding", "slow"), ("ragkit_max_question_length", -1),
            ("ragkit_max_target_length", 0),
        ] as [(String, JSONValue)] {
            var wrong = json
            wrong[key] = value
            let error = #expect(throws: ConfigurationError.self) {
                _ = try RagConfiguration(json: wrong)
            }
            #expect(error?.description.contains("'\(key)'") == true)
        }
    }
}
