/// A retrieval-augmented generator: a question encoder, a retriever, a generator, and optionally the
/// context encoder behind the index.
///
///     let model = try RagModel(contentsOf: checkpoint)
///     model.retriever = try DenseRetriever(knowledgeBase, store: indexes)
///     let answers = try await model.answer(["What does helium weigh?"])
///
/// With a context encoder set, retrieved passages are encoded again by its present weights inside
/// the forward pass, and the loss's gradient reaches it through the scores: end-to-end training.
///
/// Source: Lewis et al. 2020, arXiv:2005.11401; end to end: Siriwardhana et al. 2022,
/// arXiv:2210.02627.
public final class RagModel: Module {
    @ModuleInfo(key: "rag.question_encoder") public internal(set) var questionEncoder:
        any TextEncoder
    @ModuleInfo(key: "rag.generator") public internal(set) var generator: any Seq2SeqGenerator
    @ModuleInfo(key: "rag.ctx_encoder") var storedContextEncoder: (any TextEncoder)?

    public let questionTokenizer: any Tokenizer
    public let generatorTokenizer: any Tokenizer
    /// The tokenizer of passages for the context encoder, once set.
    public private(set) var contextTokenizer: (any Tokenizer)?
    /// The place where that was found, if it was loaded with the encoder.
    public internal(set) var contextTokenizerSource: ContextTokenizerSource?
    /// The types other than Float32 in the weight files it was loaded from: values became Float32, and
    /// are saved as such.
    public internal(set) var convertedTypes: [String] = []
    public var configuration: RagConfiguration
    /// The settings for decoding answers, unless a call says otherwise.
    public var generation = GenerationConfiguration()
    /// The source of passages; calls that are given passages need none.
    public var retriever: (any Retriever)?

    let contextBuilder: ContextBuilder

    /// A model of the given parts.
    ///
    /// - Throws: `RagError` when a tokenizer has more ids than its model's vocabulary.
    public init(
        questionEncoder: any TextEncoder, questionTokenizer: any Tokenizer,
        generator: any Seq2SeqGenerator, generatorTokenizer: any Tokenizer,
        retriever: (any Retriever)? = nil, configuration: RagConfiguration = RagConfiguration()
    ) throws {
        self.questionTokenizer = questionTokenizer
        self.generatorTokenizer = generatorTokenizer
        self.configuration = configuration
        self.retriever = retriever
        contextBuilder = ContextBuilder(generatorTokenizer)
        super.init()
        self.questionEncoder = questionEncoder
        self.generator = generator
        storedContextEncoder = nil
        guard generatorTokenizer.vocabularySize <= generator.vocabularySize else {
            throw RagError.vocabularyMismatch(
                part: "generator", tokenizer: generatorTokenizer.vocabularySize,
                model: generator.vocabularySize)
        }
        try check(questionTokenizer, questionEncoder, "question encoder")
        namePaths()
    }

    /// Throws if a tokenizer has ids that its encoder has no embeddings for.
    private func check(
        _ tokenizer: any Tokenizer, _ encoder: any TextEncoder, _ part: String
    ) throws {
        guard tokenizer.vocabularySize <= encoder.vocabularySize else {
            throw RagError.vocabularyMismatch(
                part: part, tokenizer: tokenizer.vocabularySize, model: encoder.vocabularySize)
        }
    }

    /// The context encoder, once set.
    public var contextEncoder: (any TextEncoder)? { storedContextEncoder }

    /// Turns on end-to-end training: retrieved passages are encoded by `encoder`'s present weights
    /// inside the forward pass, so that the gradient reaches them.
    ///
    /// - Parameter tokenizer: Makes the encoder's ids of passages.
    /// - Throws: `RagError` when its vectors are not as long as the question's, or when the tokenizer
    ///   has more ids than the encoder's vocabulary; nothing is set then.
    public func setContextEncoder(_ encoder: any TextEncoder, tokenizer: any Tokenizer) throws {
        try check(tokenizer, encoder, "context encoder")
        try setContextEncoder(encoder)
        setContextEncoderTokenizer(tokenizer)
    }

    /// Turns on end-to-end training with an encoder whose tokenizer is set by a second call.
    ///
    /// Its tokenizer is set by `setContextEncoderTokenizer(_:)`; both are needed.
    ///
    /// - Throws: `RagError.dimensionMismatch` when its vectors are not as long as the question's.
    public func setContextEncoder(_ encoder: any TextEncoder) throws {
        guard encoder.dimension == questionEncoder.dimension else {
            throw RagError.dimensionMismatch(
                question: questionEncoder.dimension, context: encoder.dimension)
        }
        storedContextEncoder = encoder
        namePaths()
    }

    /// Sets how passages are tokenized for the context encoder.
    public func setContextEncoderTokenizer(_ tokenizer: any Tokenizer) {
        contextTokenizer = tokenizer
        contextTokenizerSource = nil
    }

    /// Turns end-to-end training off again: passages are scored by the retriever's vectors.
    public func removeContextEncoder() {
        storedContextEncoder = nil
        contextTokenizer = nil
        contextTokenizerSource = nil
    }

    /// The context encoder with its tokenizer; `nil` when neither is set.
    ///
    /// - Throws: `RagError` naming the call that is missing when only one of them is set, or both
    ///   sizes when they do not belong together.
    func contextParts() throws -> (encoder: any TextEncoder, tokenizer: any Tokenizer)? {
        switch (contextEncoder, contextTokenizer) {
        case (let encoder?, let tokenizer?):
            try check(tokenizer, encoder, "context encoder")
            return (encoder, tokenizer)
        case (nil, nil): return nil
        case (_?, nil): throw RagError.missingCall("setContextEncoderTokenizer(_:)")
        case (nil, _?): throw RagError.missingCall("setContextEncoder(_:)")
        }
    }
}
