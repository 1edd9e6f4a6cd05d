/// The ids that steer a generator.
public struct GeneratorTokenIDs: Sendable, Equatable {
    public var bos: Int32?
    public var eos: Int32
    public var pad: Int32
    /// What every decoded sequence begins with.
    public var decoderStart: Int32

    public init(bos: Int32?, eos: Int32, pad: Int32, decoderStart: Int32) {
        self.bos = bos
        self.eos = eos
        self.pad = pad
        self.decoderStart = decoderStart
    }
}

/// Encoded contexts: what a decoder attends to, however many rows it decodes.
public struct EncoderMemory {
    /// `[totalTokens, hidden]`.
    public let hidden: Tensor
    /// Where each context begins, and at last the number of tokens.
    public let offsets: [Int]

    public init(hidden: Tensor, offsets: [Int]) {
        self.hidden = hidden
        self.offsets = offsets
    }

    /// The number of contexts.
    public var count: Int { offsets.count - 1 }
}

/// An encoder-decoder that reads contexts and writes answers: BART, T5, or one of your own.
///
/// Contexts are encoded once into a memory; any number of rows is decoded against it, in one go when
/// the targets are known, or token by token with cached states.
public protocol Seq2SeqGenerator: Module {
    associatedtype Configuration: Sendable
    /// What `startDecoding` and `step` keep between tokens.
    associatedtype Cache: DecodingCache

    var configuration: Configuration { get }
    init(configuration: Configuration)

    var tokenIDs: GeneratorTokenIDs { get }
    /// The number of ids the generator knows.
    var vocabularySize: Int { get }
    /// The longest context and the longest target, in tokens.
    var maxTokens: Int { get }
    /// How decoder states become logits.
    var projection: VocabularyProjection { get }

    /// Encodes each sequence by itself.
    func encode(_ contexts: TokenBatch) -> EncoderMemory

    /// The decoder's states for known inputs: `[totalTokens, hidden]`.
    ///
    /// - Parameters:
    ///   - inputs: decoder inputs, the start token included.
    ///   - attended: for each input sequence, the contexts of `memory` it attends to, as one.
    func decode(_ inputs: TokenBatch, _ memory: EncoderMemory, attending attended: [[Int]])
        -> Tensor

    /// Prepares decoding token by token; keys and values of each context are made once.
    ///
    /// - Parameters:
    ///   - attended: for each row, the contexts it attends to.
    ///   - maxLength: how many tokens each row may have at most.
    func startDecoding(_ memory: EncoderMemory, attending attended: [[Int]], maxLength: Int)
        -> Cache

    /// The states for one more token in each row: `[rows, hidden]`.
    func step(_ tokens: [Int32], _ cache: inout Cache) -> Tensor
}

/// The states of rows that are decoded token by token.
public protocol DecodingCache {
    /// The number of rows.
    var rowCount: Int { get }
    /// The number of tokens decoded so far.
    var length: Int { get }
    /// Row `i` of the result continues row `parents[i]` and attends to what that one did. Rows may be
    /// left out and repeated, so that there are more or fewer than before: what the contexts gave is
    /// never copied, only what the rows decoded.
    mutating func reorder(_ parents: [Int32])
}

extension Seq2SeqGenerator {
    /// A copy that shares the values until either side changes them.
    public func snapshot() -> Self {
        let copy = Self(configuration: configuration)
        copy.shareValues(of: self)
        copy.namePaths(path)
        return copy
    }

    /// Log-probabilities of the next token for one more token in each row: `[rows, vocabulary]`.
    public func nextLogProbabilities(_ tokens: [Int32], _ cache: inout Cache) -> Tensor {
        projection.logits(step(tokens, &cache)).logSoftmax()
    }
}
