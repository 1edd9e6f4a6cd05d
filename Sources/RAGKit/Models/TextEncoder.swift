/// A model that turns token sequences into vectors, one for each: a question or a context encoder.
///
/// `DPREncoder` is the built-in one; a model of your own takes part in retrieval and in end-to-end
/// training by conforming to this protocol.
public protocol TextEncoder: ConfiguredModule {
    /// The number of token ids that the encoder has embeddings for: ids are below it.
    var vocabularySize: Int { get }
    /// The length of the vectors.
    var dimension: Int { get }
    /// The length of the longest sequence that can be encoded, in tokens; `nil` if there is no
    /// limit.
    var maxTokens: Int? { get }

    /// Encodes each sequence into one vector: `[batch, dimension]`.
    ///
    /// - Precondition: no sequence is empty or longer than `maxTokens`.
    func callAsFunction(_ batch: TokenBatch) -> Tensor
}
