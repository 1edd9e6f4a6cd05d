/// An encoder-decoder that reads contexts and writes answers: BART, T5, or one of your own.
///
/// Contexts are encoded once into a memory. Any number of rows is decoded against it: in one pass
/// when the targets are known, or token by token with cached states.
public protocol Seq2SeqGenerator: ConfiguredModule {
    /// The states that `startDecoding` and `step` keep between tokens.
    associatedtype Cache: DecodingCache

    var tokenIDs: GeneratorTokenIDs { get }
    /// The number of token ids that the generator has embeddings for: ids are below it.
    var vocabularySize: Int { get }
    /// The length of the longest context and of the longest target, in tokens.
    var maxTokens: Int { get }
    /// The map from decoder states to logits.
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

    /// Prepares decoding token by token; keys and values of each context are computed once.
    ///
    /// - Parameters:
    ///   - attended: for each row, the contexts it attends to.
    ///   - maxLength: the greatest number of tokens in a row.
    func startDecoding(_ memory: EncoderMemory, attending attended: [[Int]], maxLength: Int)
        -> Cache

    /// The states for one more token in each row: `[rows, hidden]`.
    func step(_ tokens: [Int32], _ cache: inout Cache) -> Tensor
}

extension Seq2SeqGenerator {
    /// Log-probabilities of the next token for one more token in each row: `[rows, vocabulary]`.
    public func nextLogProbabilities(_ tokens: [Int32], _ cache: inout Cache) -> Tensor {
        projection.logits(step(tokens, &cache)).logSoftmax()
    }
}
