/// A model that turns token sequences into vectors, one for each: a question or a context encoder.
///
/// `DPREncoder` is the built-in one; a model of your own takes part in retrieval and in end-to-end
/// training by conforming to this.
public protocol TextEncoder: Module {
    associatedtype Configuration: Sendable

    /// What the encoder was built from.
    var configuration: Configuration { get }
    /// Builds shapes and initialization rules; values come from `initialize` or a load.
    init(configuration: Configuration)

    /// The length of the vectors.
    var dimension: Int { get }
    /// The longest sequence that can be encoded, in tokens.
    var maxTokens: Int { get }

    /// The last layer's states: `[totalTokens, hidden]`.
    func hiddenStates(_ batch: TokenBatch) -> Tensor
    /// One vector for each sequence: `[batch, dimension]`.
    ///
    /// - Precondition: no sequence is empty or longer than `maxTokens`.
    func callAsFunction(_ batch: TokenBatch) -> Tensor
}

extension TextEncoder {
    /// A copy that shares the values until either side changes them.
    public func snapshot() -> Self {
        let copy = Self(configuration: configuration)
        copy.shareValues(of: self)
        copy.namePaths(path)
        return copy
    }
}

/// A model whose configuration can be written as a Hugging Face `config.json`.
public protocol HuggingFaceModel: Module {
    /// The content of `config.json`; keys that RAGKit does not know are kept as they were read.
    var huggingFaceConfiguration: JSONValue { get }
}

/// A configuration that asks for something the models here do not do.
public enum ConfigurationError: Error, Equatable, CustomStringConvertible {
    /// A key has a value that is out of range or not supported.
    case unsupported(key: String, value: String, expected: String)
    /// A required key is missing.
    case missing(key: String, model: String)

    public var description: String {
        switch self {
        case .unsupported(let key, let value, let expected):
            "config: '\(key)' is \(value), expected \(expected)"
        case .missing(let key, let model):
            "config: '\(key)' is missing, which a \(model) needs"
        }
    }
}
