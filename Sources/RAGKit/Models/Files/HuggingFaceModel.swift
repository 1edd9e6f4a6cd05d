/// A model whose configuration can be written as a Hugging Face `config.json`.
///
/// An encoder or a generator of your own conforms to it to be saved as part of a `RagModel`.
public protocol HuggingFaceModel: Module {
    /// The content of `config.json`; keys that RAGKit does not know are kept as they were read.
    var huggingFaceConfiguration: JSONValue { get }
}
