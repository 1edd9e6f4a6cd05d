import Testing

@testable import RAGKit

@Suite struct GenerationConfigurationTests {
    private let ids = GeneratorTokenIDs(bos: 0, eos: 2, pad: 1, decoderStart: 2)

    /// Each key is read, written, and read again.
    @Test func readsAndWritesTheReferencesKeys() throws {
        let json: JSONValue = [
            "max_length": 33, "max_new_tokens": 9, "min_length": 4, "min_new_tokens": 3,
            "num_beams": 5, "length_penalty": 0.5, "early_stopping": "never",
            "num_return_sequences": 3, "do_sample": true, "temperature": 0.25, "top_k": 7,
            "top_p": 0.75, "repetition_penalty": 1.5, "no_repeat_ngram_size": 3,
            "bad_words_ids": [[4, 5], [6]], "forced_bos_token_id": 0, "forced_eos_token_id": 2,
            "decoder_start_token_id": 7, "eos_token_id": [2, 8], "typical_p": 1.0,
        ]
        let settings = try GenerationConfiguration(json: json)
        var expected = GenerationConfiguration()
        expected.maxLength = 33
        expected.maxNewTokens = 9
        expected.minLength = 4
        expected.minNewTokens = 3
        expected.numBeams = 5
        expected.lengthPenalty = 0.5
        expected.earlyStopping = .never
        expected.numReturnSequences = 3
        expected.doSample = true
        expected.temperature = 0.25
        expected.topK = 7
        expected.topP = 0.75
        expected.repetitionPenalty = 1.5
        expected.noRepeatNgramSize = 3
        expected.badWordsIDs = [[4, 5], [6]]
        expected.forcedBosTokenID = 0
        expected.forcedEosTokenID = 2
        expected.decoderStartTokenID = 7
        expected.eosTokenIDs = [2, 8]
        #expect(settings == expected)
        #expect(try GenerationConfiguration(json: settings.json(ids)) == settings)
        var own = try GenerationConfiguration(json: GenerationConfiguration().json(ids))
        own.omitIDs(of: ids)
        #expect(own == GenerationConfiguration())
        #expect(try GenerationConfiguration(json: [:]) == GenerationConfiguration())
        let early = try GenerationConfiguration(json: ["early_stopping": true, "top_k": 0])
        #expect(early.earlyStopping == .whenEnough && early.topK == nil)
        #expect(try GenerationConfiguration(json: early.json(ids)).topK == nil)
    }

    @Test(
        arguments: [
            ["max_length": 0], ["max_length": "long"], ["min_length": -1],
            ["forced_eos_token_id": 5_000_000_000], ["forced_bos_token_id": -7],
            ["forced_bos_token_id": "x"], ["num_beams": 0], ["num_return_sequences": 2],
            ["early_stopping": "always"], ["bad_words_ids": [[]]], ["bad_words_ids": [3]],
            ["bad_words_ids": [["a"]]], ["do_sample": true, "temperature": 0.0], ["top_p": 1.5],
            ["top_k": -1], ["repetition_penalty": 0.0], ["eos_token_id": []],
            ["num_beam_groups": 2], ["diversity_penalty": 0.5], ["suppress_tokens": [3]],
            ["encoder_no_repeat_ngram_size": 2], ["renormalize_logits": true],
        ] as [JSONValue])
    func refusesWhatMakesNoSense(json: JSONValue) {
        #expect(throws: (any Error).self) { _ = try GenerationConfiguration(json: json) }
    }

    /// The reference's rules, as `GenerationConfig.from_model_config` gave them.
    @Test func inheritance() throws {
        let config: JSONValue = [
            "max_length": 20, "num_beams": .null, "no_repeat_ngram_size": 0,
            "length_penalty": 2.0, "num_return_sequences": 1, "eos_token_id": 2,
            "generator": [
                "model_type": "bart", "num_beams": 4, "no_repeat_ngram_size": 3,
                "length_penalty": 0.5, "forced_bos_token_id": 0, "max_length": 62,
                "num_return_sequences": 2,
            ],
        ]
        let token = try GenerationConfiguration(
            ofCheckpoint: config, file: nil, marginalization: .token)
        #expect(token.numBeams == 4 && token.noRepeatNgramSize == 3 && token.maxLength == 62)
        #expect(token.lengthPenalty == 2 && token.numReturnSequences == 2)
        #expect(token.forcedBosTokenID == 0 && token.forcedEosTokenID == 2)
        // A file stands alone.
        let file = try GenerationConfiguration(
            ofCheckpoint: config, file: ["num_beams": 3], marginalization: .token)
        #expect(file.numBeams == 3 && file.noRepeatNgramSize == 0 && file.forcedEosTokenID == nil)
        // RAG-sequence has the generator's, but its own beams.
        let sequence = try GenerationConfiguration(
            ofCheckpoint: config, file: ["num_beams": 3, "max_length": 9],
            marginalization: .sequence)
        #expect(sequence.numBeams == 1 && sequence.noRepeatNgramSize == 3)
        #expect(sequence.maxLength == 62 && sequence.lengthPenalty == 0.5)
        #expect(sequence.numReturnSequences == 1 && sequence.forcedEosTokenID == 2)
        var unforced = config
        unforced["generator"]?["forced_eos_token_id"] = .null
        unforced["num_beams"] = 7
        let free = try GenerationConfiguration(
            ofCheckpoint: unforced, file: nil, marginalization: .sequence)
        #expect(free.forcedEosTokenID == nil && free.numBeams == 7)
        // What is written is what is read.
        let written = token.written(intoSequenceConfiguration: config)
        var again = try GenerationConfiguration(
            ofCheckpoint: written, file: nil, marginalization: .sequence)
        var expected = token
        again.omitIDs(of: ids)
        expected.omitIDs(of: ids)
        #expect(again == expected)
    }

    // MARK: Processors

    /// What the processors leave of ten scores after a sequence.
    private func scores(
        after sequence: [Int32], _ change: (inout GenerationConfiguration) -> Void
    ) throws -> [Float] {
        var settings = GenerationConfiguration()
        change(&settings)
        let plan = try DecodingPlan(settings, ids, longest: 1000)
        let scores = Tensor((0..<10).map { 1.5 - Float($0) }, shape: [1, 10])
        try plan.process(scores, after: [sequence], of: [3])
        return scores.elements
    }

    private func allowed(
        after sequence: [Int32], _ change: (inout GenerationConfiguration) -> Void
    ) throws -> [Int] {
        let found = try scores(after: sequence, change)
        return found.indices.filter { found[$0] > -.infinity }
    }

    private let all = Array(0..<10)

    @Test func lengths() throws {
        #expect(try allowed(after: [2]) { _ in } == all)
        for sequence in [[2], [2, 5]] as [[Int32]] {
            #expect(try allowed(after: sequence) { $0.minLength = 3 } == all.filter { $0 != 2 })
            #expect(try allowed(after: sequence) { $0.minNewTokens = 2 } == all.filter { $0 != 2 })
        }
        #expect(try allowed(after: [2, 5, 5]) { $0.minLength = 3 } == all)
        #expect(try allowed(after: [2, 5, 5]) { $0.minNewTokens = 2 } == all)
        #expect(try allowed(after: [2]) { $0.forcedBosTokenID = 7 } == [7])
        #expect(try allowed(after: [2, 7]) { $0.forcedBosTokenID = 7 } == all)
        func forced(_ settings: inout GenerationConfiguration) {
            settings.maxLength = 4
            settings.forcedEosTokenID = 2
        }
        #expect(try allowed(after: [2, 7], forced) == all)
        #expect(try scores(after: [2, 7, 7], forced)[2] == 0)
        #expect(try allowed(after: [2, 7, 7], forced) == [2])
        // The longest length may be given by new tokens; a forced end beats a minimum.
        let both = try allowed(after: [2, 7, 7]) {
            $0.maxNewTokens = 3
            $0.forcedEosTokenID = 2
            $0.minLength = 9
        }
        #expect(both == [2])
    }

    @Test func repetitionPenalty() throws {
        let found = try scores(after: [2, 1, 1, 0, 77]) { $0.repetitionPenalty = 2 }
        // Positive scores are divided, negative ones multiplied, each once.
        #expect(found[..<4] == [0.75, 0.25, -1, -1.5])
    }

    @Test func noRepeatNgram() throws {
        func left(_ sequence: [Int32], _ size: Int) throws -> [Int] {
            try allowed(after: sequence) { $0.noRepeatNgramSize = size }
        }
        #expect(try left([2, 5, 5], 1) == all.filter { $0 != 2 && $0 != 5 })
        #expect(try left([2, 5, 6, 5], 2) == all.filter { $0 != 6 })
        // The start token counts.
        #expect(try left([2, 5, 6, 2], 2) == all.filter { $0 != 5 })
        #expect(try left([2, 5, 6, 7, 5, 6], 3) == all.filter { $0 != 7 })
        #expect(try left([2, 5, 6, 7, 5, 5], 3) == all)
        #expect(try left([2], 2) == all && left([2], 1) == all.filter { $0 != 2 })
        #expect(try left([5, 5], 2) == all.filter { $0 != 5 })
    }

    @Test func badWords() throws {
        func left(_ sequence: [Int32], _ runs: [[Int32]]) throws -> [Int] {
            try allowed(after: sequence) { $0.badWordsIDs = runs }
        }
        #expect(try left([2], [[4]]) == all.filter { $0 != 4 })
        #expect(
            try left([2, 5, 6], [[5, 6, 7], [6, 8], [5, 9]]) == all.filter { ![7, 8].contains($0) })
        // An end token alone stays, and a run longer than what was written is passed over.
        #expect(try left([2], [[2]]) == all)
        #expect(try left([0], [[0, 0]]) == all)
        #expect(try left([2, 0], [[0, 0]]) == all.filter { $0 != 0 })
        #expect(try left([2], [[4000]]) == all)
    }

    @Test func prefixesAndProcessorsOfOnesOwn() throws {
        struct Only: LogitsProcessor {
            let token: Int
            func process(
                _ scores: UnsafeMutableBufferPointer<Float>, after sequence: [Int32], question: Int
            ) {
                for index in scores.indices where index != token { scores[index] = -.infinity }
            }
        }
        let constrained = try allowed(after: [2, 8]) {
            $0.prefixAllowedTokens = { question, ids in [Int32(question), ids[1], 99] }
        }
        #expect(constrained == [3, 8])
        #expect(try allowed(after: [2]) { $0.processors = [Only(token: 6)] } == [6])
        #expect(throws: GenerationError.noAllowedToken(question: 3, after: [2])) {
            _ = try allowed(after: [2]) { $0.prefixAllowedTokens = { _, _ in [] } }
        }
        var settings = GenerationConfiguration()
        settings.processors = [Only(token: 1)]
        #expect(settings != settings, "functions cannot be compared")
    }

    @Test func sampling() throws {
        func sampled(_ change: @escaping (inout GenerationConfiguration) -> Void) throws -> [Float]
        {
            try scores(after: [2]) {
                $0.topK = nil
                $0.doSample = true
                change(&$0)
            }
        }
        #expect(try sampled { $0.temperature = 0.5 } == (0..<10).map { 3 - 2 * Float($0) })
        func kept(_ scores: [Float]) -> [Int] { scores.indices.filter { scores[$0] > -.infinity } }
        #expect(try kept(sampled { $0.topK = 3 }) == [0, 1, 2])
        // Shares 0.632, 0.233, 0.086, 0.031, …: the first that reach topP.
        #expect(try kept(sampled { $0.topP = 0.6 }) == [0])
        #expect(try kept(sampled { $0.topP = 0.64 }) == [0, 1])
        #expect(try kept(sampled { $0.topP = 0.9 }) == [0, 1, 2])
        #expect(try kept(sampled { $0.topP = 0 }) == [0])
        // Beams need two tokens, so that one may be the end.
        let beams = try sampled {
            $0.topK = 1
            $0.topP = 0.1
            $0.numBeams = 2
        }
        #expect(kept(beams) == [0, 1])
        // Without sampling none of them counts.
        #expect(try allowed(after: [2]) { $0.topK = 1 } == all)
    }
}
