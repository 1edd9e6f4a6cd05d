extension GenerationConfiguration {
    /// Reads the settings that a RAG checkpoint is decoded with, by the reference's rules.
    ///
    /// - RAG-token: those of `generation_config.json`; without that file, the keys of
    ///   `config.json`, and for each that is missing or has its default value, the generator's own.
    /// - RAG-sequence: the generator's own, from `generator` in `config.json`, but the numbers of
    ///   beams and of returned sequences from `config.json` itself. `generation_config.json` is not
    ///   read.
    ///
    /// - Parameters:
    ///   - config: `config.json` of the checkpoint.
    ///   - file: its `generation_config.json`, if there is one.
    /// - Throws: as `init(json:)`.
    public init(
        ofCheckpoint config: JSONValue, file: JSONValue?, marginalization: Marginalization
    ) throws {
        let generator = Self.withClassDefaults(config["generator"] ?? [:])
        switch (marginalization, file) {
        case (.token, let file?):
            try self.init(json: file)
        case (.token, nil):
            var json = generator
            for (key, value) in config.objectValue ?? [:] where Self.isSet(key, value) {
                json[key] = value
            }
            try self.init(json: json)
        case (.sequence, _):
            var json = generator
            for key in ["num_beams", "num_return_sequences"] { json[key] = config[key] ?? 1 }
            try self.init(json: json)
        }
    }

    /// The `config.json` of a RAG-sequence checkpoint with these settings in the places where the
    /// reference reads them.
    func written(intoSequenceConfiguration config: JSONValue) -> JSONValue {
        var (config, generator) = (config, config["generator"] ?? [:])
        for key in Self.defaults.keys where Self.ownIDs.contains(key) == false {
            generator[key] = nil
        }
        for (key, value) in json.objectValue ?? [:] { generator[key] = value }
        // Absent, the reference's BART class would force 2.
        if forcedEosTokenID == nil { generator["forced_eos_token_id"] = .null }
        config["generator"] = generator
        config["num_beams"] = .int(numBeams)
        config["num_return_sequences"] = .int(numReturnSequences)
        return config
    }

    /// Keys of ids that the generator has as well.
    private static let ownIDs = ["eos_token_id", "decoder_start_token_id"]

    /// The generator's configuration with the reference's defaults for keys that are missing.
    private static func withClassDefaults(_ generator: JSONValue) -> JSONValue {
        var json = generator
        guard json["model_type"]?.stringValue == "bart" else { return json }
        if json["forced_eos_token_id"] == nil { json["forced_eos_token_id"] = 2 }
        let isOld = json["force_bos_token_to_be_generated"] == .bool(true)
        if isOld, json["forced_bos_token_id"] ?? .null == .null {
            json["forced_bos_token_id"] = json["bos_token_id"] ?? 0
        }
        return json
    }

    /// True if a key is a setting of generation and its value is not the default.
    private static func isSet(_ key: String, _ value: JSONValue) -> Bool {
        guard value != .null, let usual = defaults[key] else { return false }
        return value != usual
            && (value.doubleValue == nil || value.doubleValue != usual.doubleValue)
    }

    /// The reference's defaults, as in its files.
    private static let defaults: [String: JSONValue] = [
        "max_length": 20, "max_new_tokens": .null, "min_length": 0, "min_new_tokens": .null,
        "num_beams": 1, "num_return_sequences": 1, "no_repeat_ngram_size": 0,
        "length_penalty": 1, "repetition_penalty": 1, "temperature": 1, "top_p": 1, "top_k": 50,
        "do_sample": false, "early_stopping": false, "bad_words_ids": .null,
        "forced_bos_token_id": .null, "forced_eos_token_id": .null,
        "decoder_start_token_id": .null, "eos_token_id": .null,
    ]
}
