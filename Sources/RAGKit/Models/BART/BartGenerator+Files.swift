public import Foundation

extension BartGenerator {
    /// Loads BART from its directory, or from the generator of a RAG checkpoint.
    ///
    /// - Throws: `CheckpointError` naming every tensor that does not fit, or `ConfigurationError`,
    ///   also where the directory holds a model of another type.
    public convenience init(contentsOf directory: URL) throws {
        let files = try ModelFiles.generator(in: directory)
        try ConfigurationError.check(files.configuration, isOfType: "bart")
        try self.init(files.configuration, partOf: files.checkpoint)
        try load(files)
    }

    /// A generator without values.
    ///
    /// - Parameter checkpoint: the weights of the RAG model that it is part of. Where they hold no
    ///   matrix for the logits, the embedding matrix is used instead, as in the reference, even if
    ///   the generator's configuration ties nothing.
    convenience init(_ json: JSONValue, partOf checkpoint: ModelWeights?) throws {
        var configuration = try BartConfiguration(json: json)
        if checkpoint?.hasLanguageModelHead == false { configuration.tieWordEmbeddings = true }
        self.init(configuration: configuration)
    }
}
