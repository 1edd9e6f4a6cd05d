/// The things an index version was made with, by names that tell two of them apart.
public struct IndexOrigin: Sendable, Hashable {
    /// The fingerprint of the weights of the context encoder.
    public var encoder: String
    /// The fingerprint of its tokenizer and settings.
    public var tokenizer: String
    /// The number format of products while the passages were encoded.
    public var precision: Precision
    /// The version of the knowledge base, as ``KnowledgeBase/version`` names it; empty for a base in
    /// memory.
    public var knowledgeBase: String

    public init(
        encoder: String = "", tokenizer: String = "", precision: Precision = .float32,
        knowledgeBase: String = ""
    ) {
        self.encoder = encoder
        self.tokenizer = tokenizer
        self.precision = precision
        self.knowledgeBase = knowledgeBase
    }
}
