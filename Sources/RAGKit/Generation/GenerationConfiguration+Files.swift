import Foundation

extension GenerationConfiguration {
    /// The place of a model's `generation_config.json`.
    static func file(in directory: URL) -> URL {
        directory.appendingPathComponent("generation_config.json")
    }

    /// Reads a `generation_config.json`, or the same keys from a model's `config.json`.
    ///
    /// - Throws: `JSONError`, `ConfigurationError` or `GenerationError` naming the key. Settings
    ///   that would change answers but are not supported are refused.
    public init(json: JSONValue) throws {
        let reader = ConfigurationReader(json: json, model: "generator")
        try Self.refuseUnsupported(json)
        maxLength = try reader.size("max_length", default: maxLength)
        minLength = try reader.size("min_length", default: minLength, atLeast: 0)
        func optionalSize(_ key: String) throws -> Int? {
            try json.int(key) == nil ? nil : reader.size(key, default: 0, atLeast: 0)
        }
        maxNewTokens = try optionalSize("max_new_tokens")
        minNewTokens = try optionalSize("min_new_tokens")
        numBeams = try reader.size("num_beams", default: numBeams)
        numReturnSequences = try reader.size("num_return_sequences", default: numReturnSequences)
        noRepeatNgramSize = try reader.size(
            "no_repeat_ngram_size", default: noRepeatNgramSize, atLeast: 0)
        func number(_ key: String, _ value: Float) throws -> Float {
            Float(try json.double(key) ?? Double(value))
        }
        lengthPenalty = try number("length_penalty", lengthPenalty)
        repetitionPenalty = try number("repetition_penalty", repetitionPenalty)
        temperature = try number("temperature", temperature)
        topP = try number("top_p", topP)
        topK = try reader.size("top_k", default: topK ?? 0, atLeast: 0)
        if topK == 0 { topK = nil }
        doSample = try json.bool("do_sample") ?? doSample
        earlyStopping = try Self.earlyStopping(json)
        badWordsIDs = try (json.array("bad_words_ids") ?? []).map {
            try Self.ids($0, "bad_words_ids", json)
        }
        func id(_ key: String) throws -> Int32? { try optionalSize(key).map { Int32($0) } }
        forcedBosTokenID = try id("forced_bos_token_id")
        forcedEosTokenID = try Self.tokenIDs("forced_eos_token_id", json)?.first
        decoderStartTokenID = try id("decoder_start_token_id")
        eosTokenIDs = try Self.tokenIDs("eos_token_id", json)
        try validate()
    }

    private static func earlyStopping(_ json: JSONValue) throws -> EarlyStopping {
        switch json["early_stopping"] {
        case nil, .null?, .bool(false)?: return .heuristic
        case .bool(true)?: return .whenEnough
        case .string("never")?: return .never
        case let other?:
            throw ConfigurationError.unsupported(
                key: "early_stopping", value: other.summary, expected: "true, false or \"never\"")
        }
    }

    /// One id or a list of them.
    private static func tokenIDs(_ key: String, _ json: JSONValue) throws -> [Int32]? {
        switch json[key] {
        case nil, .null?: return nil
        case .array?: return try ids(json[key] ?? .null, key, json)
        default: return try ids(.array([json[key] ?? .null]), key, json)
        }
    }

    private static func ids(_ value: JSONValue, _ key: String, _ json: JSONValue) throws -> [Int32]
    {
        let numbers = (value.arrayValue ?? []).compactMap(\.intValue)
        guard !numbers.isEmpty, numbers.count == value.arrayValue?.count,
            numbers.allSatisfy({ (0...(1 << 30)).contains($0) })
        else {
            throw ConfigurationError.unsupported(
                key: key, value: value.summary, expected: "token ids, at least one")
        }
        return numbers.map { Int32($0) }
    }

    /// Keys of the reference that are not supported, each with the values that change no answer.
    private static let neutral: [(key: String, values: [JSONValue])] = [
        ("num_beam_groups", [1]), ("diversity_penalty", [0]), ("penalty_alpha", [0]),
        ("encoder_repetition_penalty", [1]), ("encoder_no_repeat_ngram_size", [0]),
        ("min_p", [0]), ("typical_p", [1]), ("epsilon_cutoff", [0]), ("eta_cutoff", [0]),
        ("renormalize_logits", [false]), ("remove_invalid_values", [false]),
        ("exponential_decay_length_penalty", []), ("suppress_tokens", [[]]),
        ("begin_suppress_tokens", [[]]), ("sequence_bias", []), ("constraints", []),
        ("force_words_ids", []),
    ]

    private static func refuseUnsupported(_ json: JSONValue) throws {
        for (key, values) in neutral {
            guard let value = json[key], value != .null else { continue }
            let isNeutral = values.contains { neutral in
                value == neutral
                    || (value.doubleValue != nil && value.doubleValue == neutral.doubleValue)
            }
            guard isNeutral else {
                throw ConfigurationError.unsupported(
                    key: key, value: value.summary,
                    expected: "no such key: this setting of generation is not supported")
            }
        }
    }

    /// The keys and values that differ from the defaults, as the reference writes them.
    var json: JSONValue {
        let usual = GenerationConfiguration()
        var json: JSONValue = [:]
        func set(_ key: String, _ value: JSONValue?, unless isUsual: Bool) {
            if !isUsual { json[key] = value }
        }
        set("max_new_tokens", maxNewTokens.map { .int($0) }, unless: maxNewTokens == nil)
        set("min_new_tokens", minNewTokens.map { .int($0) }, unless: minNewTokens == nil)
        set("num_beams", .int(numBeams), unless: numBeams == usual.numBeams)
        set(
            "num_return_sequences", .int(numReturnSequences),
            unless: numReturnSequences == usual.numReturnSequences)
        set("length_penalty", .number(lengthPenalty), unless: lengthPenalty == usual.lengthPenalty)
        switch earlyStopping {
        case .heuristic: break
        case .whenEnough: json["early_stopping"] = true
        case .never: json["early_stopping"] = "never"
        }
        set("do_sample", true, unless: !doSample)
        set("temperature", .number(temperature), unless: temperature == usual.temperature)
        set("top_k", .int(topK ?? 0), unless: topK == usual.topK)
        set("top_p", .number(topP), unless: topP == usual.topP)
        set(
            "repetition_penalty", .number(repetitionPenalty),
            unless: repetitionPenalty == usual.repetitionPenalty)
        set("no_repeat_ngram_size", .int(noRepeatNgramSize), unless: noRepeatNgramSize == 0)
        func list(_ ids: [Int32]) -> JSONValue { .array(ids.map { .int(Int($0)) }) }
        set("bad_words_ids", .array(badWordsIDs.map(list)), unless: badWordsIDs.isEmpty)
        json["forced_bos_token_id"] = forcedBosTokenID.map { .int(Int($0)) }
        json["forced_eos_token_id"] = forcedEosTokenID.map { .int(Int($0)) }
        json["max_length"] = .int(maxLength)
        json["min_length"] = .int(minLength)
        if let eosTokenIDs {
            json["eos_token_id"] =
                eosTokenIDs.count == 1 ? .int(Int(eosTokenIDs[0])) : list(eosTokenIDs)
        }
        json["decoder_start_token_id"] = decoderStartTokenID.map { .int(Int($0)) }
        return json
    }

    /// The settings as `generation_config.json`.
    func json(_ ids: GeneratorTokenIDs) -> JSONValue {
        var json = json
        json["bos_token_id"] = ids.bos.map { .int(Int($0)) }
        json["pad_token_id"] = .int(Int(ids.pad))
        if decoderStartTokenID == nil {
            json["decoder_start_token_id"] = .int(Int(ids.decoderStart))
        }
        if eosTokenIDs == nil { json["eos_token_id"] = .int(Int(ids.eos)) }
        return json
    }

    /// Removes ids that equal the generator's own.
    mutating func omitIDs(of ids: GeneratorTokenIDs) {
        if decoderStartTokenID == ids.decoderStart { decoderStartTokenID = nil }
        if eosTokenIDs == [ids.eos] { eosTokenIDs = nil }
    }
}
