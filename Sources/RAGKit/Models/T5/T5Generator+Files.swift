public import Foundation

extension T5Generator {
    /// Loads T5 from its directory, or from the generator of a RAG checkpoint.
    ///
    /// - Throws: `CheckpointError` naming every tensor that does not fit, or `ConfigurationError`,
    ///   also where the directory holds a model of another type.
    public convenience init(contentsOf directory: URL) throws {
        let files = try ModelFiles.generator(in: directory)
        try ConfigurationError.check(files.configuration, isOfType: "t5")
        try self.init(files.configuration, partOf: files.checkpoint)
        try load(files)
    }

    /// A generator without values; `checkpoint` as for `BartGenerator`.
    convenience init(_ json: JSONValue, partOf checkpoint: ModelWeights?) throws {
        var configuration = try T5Configuration(json: json)
        let hasHead = checkpoint?.hasLanguageModelHead ?? true
        configuration.sharesUnscaledHead = !configuration.tieWordEmbeddings && !hasHead
        self.init(configuration: configuration)
    }
}
