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
