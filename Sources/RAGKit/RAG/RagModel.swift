/// A retrieval-augmented generator: a question encoder, a retriever, a generator, and optionally the
/// context encoder behind the index.
///
///     let model = try RagModel(contentsOf: checkpoint)
///     model.retriever = try DenseRetriever(knowledgeBase, vectors: vectors)
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
    /// Where that was found, when it was loaded with the encoder.
    public internal(set) var contextTokenizerSource: ContextTokenizerSource?
    /// The types other than Float32 in the weight files it was loaded from: values became Float32, and
    /// are saved as such.
    public internal(set) var convertedTypes: [SafetensorsDType] = []
    public var configuration: RagConfiguration
    /// How answers are decoded unless a call says otherwise.
    public var generation = GenerationConfiguration()
    /// Where passages come from; calls that are given passages need none.
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

    /// Stops where a tokenizer has ids that its encoder has no vectors for, as far as that is known.
    private func check(
        _ tokenizer: any Tokenizer, _ encoder: any TextEncoder, _ part: String
    ) throws {
        guard let size = (encoder as? DPREncoder)?.configuration.bert.vocabSize else { return }
        guard tokenizer.vocabularySize <= size else {
            throw RagError.vocabularyMismatch(
                part: part, tokenizer: tokenizer.vocabularySize, model: size)
        }
    }

    /// The context encoder, once set.
    public var contextEncoder: (any TextEncoder)? { storedContextEncoder }

    /// Turns on end-to-end training: retrieved passages are encoded by `encoder`'s present weights
    /// inside the forward pass, so that the gradient reaches them.
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

/// A RAG model that cannot do what it is asked.
public enum RagError: Error, Equatable, CustomStringConvertible {
    /// One of the two calls that turn on end-to-end training was not made.
    case missingCall(String)
    /// Question and context vectors are of different lengths.
    case dimensionMismatch(question: Int, context: Int)
    /// A tokenizer gives ids that its model has no embedding for.
    case vocabularyMismatch(part: String, tokenizer: Int, model: Int)
    /// Neither a retriever nor passages were given.
    case missingRetriever
    /// No passage was found or given for a question.
    case noPassages(question: String)
    /// The caller's passages, scores or targets are not one for each question.
    case countMismatch(what: String, expected: Int, found: Int)
    /// A question without words.
    case emptyQuestion(index: Int)
    /// A question for training whose end would not be read. `place` is its file and line, or its
    /// number among the examples.
    case longQuestion(place: String, tokens: Int, limit: Int)
    /// A target without tokens.
    case emptyTarget(index: Int)
    /// A part that cannot be written as a Hugging Face model.
    case notSavable(part: String)
    /// Something that is not there, or not what was expected, in a model directory.
    case invalidDirectory(path: String, reason: String)

    public var description: String {
        switch self {
        case .missingCall(let call):
            "end-to-end training needs both the context encoder and its tokenizer: call \(call)"
        case .dimensionMismatch(let question, let context):
            "the question encoder makes vectors of \(question) numbers, the context encoder of "
                + "\(context): use encoders of one dimension, or add a projection"
        case .vocabularyMismatch(let part, let tokenizer, let model):
            "the \(part)'s tokenizer has \(tokenizer) ids, its model only \(model): they do not "
                + "belong together"
        case .missingRetriever:
            "there is no retriever: set `retriever`, or pass passages"
        case .noPassages(let question):
            "no passage was found for the question '\(question)'"
        case .countMismatch(let what, let expected, let found):
            "\(what): expected \(expected), one for each question, found \(found)"
        case .emptyQuestion(let index):
            "question \(index) is empty"
        case .longQuestion(let place, let tokens, let limit):
            "\(place): the question has \(tokens) tokens, of which only \(limit) would be read: shorten it, "
                + "or raise `configuration.maxQuestionLength` as far as its encoder goes"
        case .emptyTarget(let index):
            "target \(index) is empty"
        case .notSavable(let part):
            "the \(part) has no Hugging Face configuration: make its type a HuggingFaceModel"
        case .invalidDirectory(let path, let reason):
            "'\(path)': \(reason)"
        }
    }
}
