/// The settings by which answers are decoded.
///
/// Names and defaults are those of transformers' `generation_config.json`.
public struct GenerationConfiguration: Sendable, Equatable {
    /// The length of the longest sequence, the start token included.
    public var maxLength = 20
    /// The greatest number of tokens after the start token; replaces `maxLength`.
    public var maxNewTokens: Int?
    /// The length from which on the end token is allowed, the start token included.
    public var minLength = 0
    /// The number of tokens after the start token from which on the end token is allowed.
    public var minNewTokens: Int?

    /// The number of sequences that are extended at once; 1 takes the best token at each place.
    public var numBeams = 1
    /// The power of a hypothesis's length that its log-probability is divided by. Above 0 favours
    /// long answers, below 0 short ones.
    public var lengthPenalty: Float = 1
    /// The rule by which a beam search ends.
    public var earlyStopping = EarlyStopping.heuristic
    /// The number of sequences that are returned for a question, best first.
    public var numReturnSequences = 1

    /// True if tokens are drawn at random; otherwise the most probable ones are taken.
    public var doSample = false
    /// The divisor of scores before tokens are drawn: below 1 sharpens, above 1 flattens.
    public var temperature: Float = 1
    /// The number of most probable tokens that are drawn from; `nil` for all.
    public var topK: Int? = 50
    /// The probability mass that is drawn from: the fewest tokens whose probabilities add up to it.
    public var topP: Float = 1
    /// The seed of the random numbers: the same seed gives the same answers.
    public var seed: UInt64 = 0

    /// The number that divides positive and multiplies negative scores of tokens already written; 1
    /// changes nothing.
    public var repetitionPenalty: Float = 1
    /// The length of runs of tokens that are not written twice; 0 allows all.
    public var noRepeatNgramSize = 0
    /// Runs of tokens that are never written.
    public var badWordsIDs: [[Int32]] = []
    /// The token that must follow the start token.
    public var forcedBosTokenID: Int32?
    /// The token that must come last when the longest length is reached.
    public var forcedEosTokenID: Int32?

    /// The start token; the generator's own by default.
    public var decoderStartTokenID: Int32?
    /// The tokens that end a sequence; the generator's own end token by default.
    public var eosTokenIDs: [Int32]?

    private var hooks = Hooks()

    public init() {}

    /// The rule by which a beam search has found enough sequences.
    public enum EarlyStopping: Sendable, Equatable {
        /// Ends when the best open sequence, scored at its present length, cannot beat the worst
        /// kept.
        case heuristic
        /// Ends when as many sequences as beams have ended.
        case whenEnough
        /// Ends when no open sequence can beat the worst kept one at any length.
        case never
    }

    /// The tokens that may follow a sequence: given the question's number and the ids so far, start
    /// token included. An empty list stops generation with an error.
    public typealias AllowedTokens = @Sendable (_ question: Int, _ ids: [Int32]) throws -> [Int32]

    /// Restricts the tokens that may be written; `nil` allows all.
    public var prefixAllowedTokens: AllowedTokens? {
        get { hooks.prefixAllowedTokens }
        set { hooks.prefixAllowedTokens = newValue }
    }

    /// Further processors, applied after the built-in ones.
    public var processors: [any LogitsProcessor] {
        get { hooks.processors }
        set { hooks.processors = newValue }
    }

    /// Functions, which cannot be compared, written to a file, or read from one.
    private struct Hooks: Sendable, Equatable {
        var prefixAllowedTokens: AllowedTokens?
        var processors: [any LogitsProcessor] = []

        /// True if neither side has any function, since functions cannot be compared.
        static func == (first: Hooks, second: Hooks) -> Bool {
            [first, second].allSatisfy { $0.prefixAllowedTokens == nil && $0.processors.isEmpty }
        }
    }
}

extension GenerationConfiguration {
    /// Checks each setting's range.
    ///
    /// - Throws: `GenerationError.invalidSetting` naming the setting.
    public func validate() throws {
        func require(_ holds: Bool, _ name: String, _ value: Any, _ expected: String) throws {
            guard holds else {
                throw GenerationError.invalidSetting(
                    name: name, value: "\(value)", expected: expected)
            }
        }
        try require(maxLength >= 1, "maxLength", maxLength, "at least 1")
        try require(maxNewTokens ?? 0 >= 0, "maxNewTokens", maxNewTokens ?? 0, "at least 0")
        try require(minLength >= 0, "minLength", minLength, "at least 0")
        try require(minNewTokens ?? 0 >= 0, "minNewTokens", minNewTokens ?? 0, "at least 0")
        try require((1...1024).contains(numBeams), "numBeams", numBeams, "a number from 1 to 1024")
        try require(lengthPenalty.isFinite, "lengthPenalty", lengthPenalty, "a finite number")
        let most = doSample && numBeams == 1 ? 1024 : numBeams
        try require(
            (1...most).contains(numReturnSequences), "numReturnSequences", numReturnSequences,
            "1 to \(most): at most one for each beam, unless tokens are sampled without beams")
        try require(
            !doSample || (temperature > 0 && temperature.isFinite), "temperature", temperature,
            "above 0 (the limit 0 is doSample = false)")
        try require(topK ?? 1 >= 1, "topK", topK ?? 1, "at least 1, or nil")
        try require((0...1).contains(topP), "topP", topP, "a number from 0 to 1")
        try require(
            repetitionPenalty > 0 && repetitionPenalty.isFinite, "repetitionPenalty",
            repetitionPenalty, "above 0")
        try require(
            noRepeatNgramSize >= 0, "noRepeatNgramSize", noRepeatNgramSize, "at least 0")
        try require(
            badWordsIDs.allSatisfy { !$0.isEmpty && $0.allSatisfy { $0 >= 0 } }, "badWordsIDs",
            badWordsIDs, "lists of token ids, none empty")
        try require(eosTokenIDs?.isEmpty != true, "eosTokenIDs", "[]", "at least one id, or nil")
    }
}
