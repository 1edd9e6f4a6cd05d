/// How answers are decoded.
///
/// Names and defaults are those of transformers' `generation_config.json`.
public struct GenerationConfiguration: Sendable, Equatable {
    /// The longest sequence, the start token included.
    public var maxLength = 20
    /// The shortest sequence before the end token may come, the start token included.
    public var minLength = 0
    /// The token that must follow the start token.
    public var forcedBosTokenID: Int32?
    /// The token that must come last when `maxLength` is reached.
    public var forcedEosTokenID: Int32?

    public init() {}

    /// Reads a `generation_config.json`, or the same keys from a model's `config.json`.
    ///
    /// - Throws: `JSONError` or `ConfigurationError` naming the key.
    public init(json: JSONValue) throws {
        let reader = ConfigurationReader(json: json, model: "generator")
        maxLength = try reader.size("max_length", default: maxLength)
        minLength = try reader.size("min_length", default: minLength, atLeast: 0)
        func id(_ key: String) throws -> Int32? {
            try json.int(key) == nil ? nil : Int32(reader.size(key, default: 0, atLeast: 0))
        }
        forcedBosTokenID = try id("forced_bos_token_id")
        forcedEosTokenID = try id("forced_eos_token_id")
    }

    /// The settings as `generation_config.json`.
    func json(_ ids: GeneratorTokenIDs) -> JSONValue {
        var json: JSONValue = [:]
        json["bos_token_id"] = ids.bos.map { .int(Int($0)) }
        json["decoder_start_token_id"] = .int(Int(ids.decoderStart))
        json["eos_token_id"] = .int(Int(ids.eos))
        json["pad_token_id"] = .int(Int(ids.pad))
        json["forced_bos_token_id"] = forcedBosTokenID.map { .int(Int($0)) }
        json["forced_eos_token_id"] = forcedEosTokenID.map { .int(Int($0)) }
        json["max_length"] = .int(maxLength)
        json["min_length"] = .int(minLength)
        return json
    }

    /// The processors that these settings ask for.
    func processors(_ ids: GeneratorTokenIDs) -> [any LogitsProcessor] {
        var list: [any LogitsProcessor] = []
        if minLength > 0 { list.append(MinLength(minLength, eos: ids.eos)) }
        if let forcedBosTokenID { list.append(ForcedToken(forcedBosTokenID, atLength: 1)) }
        if let forcedEosTokenID {
            list.append(ForcedToken(forcedEosTokenID, atLength: maxLength - 1))
        }
        return list
    }
}

/// Changes the scores of the next token, given what was decoded so far.
public protocol LogitsProcessor: Sendable {
    /// - Parameters:
    ///   - scores: log-probabilities of the vocabulary; -∞ forbids a token.
    ///   - sequence: the row's tokens so far, the start token included.
    func process(_ scores: UnsafeMutableBufferPointer<Float>, after sequence: [Int32])
}

/// Forbids the end before a sequence has a length.
struct MinLength: LogitsProcessor {
    let length: Int
    let eos: Int32

    init(_ length: Int, eos: Int32) {
        self.length = length
        self.eos = eos
    }

    func process(_ scores: UnsafeMutableBufferPointer<Float>, after sequence: [Int32]) {
        if sequence.count < length, scores.indices.contains(Int(eos)) {
            scores[Int(eos)] = -.infinity
        }
    }
}

/// Leaves only one token at a certain length.
struct ForcedToken: LogitsProcessor {
    let token: Int32
    let length: Int

    init(_ token: Int32, atLength length: Int) {
        self.token = token
        self.length = length
    }

    func process(_ scores: UnsafeMutableBufferPointer<Float>, after sequence: [Int32]) {
        guard sequence.count == length, scores.indices.contains(Int(token)) else { return }
        scores.update(repeating: -.infinity)
        scores[Int(token)] = 0
    }
}
