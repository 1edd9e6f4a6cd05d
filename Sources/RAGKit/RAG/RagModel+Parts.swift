public import Foundation

extension RagModel {
    /// RAG checkpoints with and without the leading `rag.` (`RagModel` of transformers has none).
    static let layouts = [
        WeightLayout(inFile: "", inModel: ""), WeightLayout(inFile: "", inModel: "rag."),
    ]

    /// Puts a RAG model together from the directories of its parts.
    ///
    /// - Parameters:
    ///   - questionEncoder: of a DPR, BERT or sentence-transformers encoder, with its tokenizer
    ///     unless `questionTokenizer` names another directory.
    ///   - generator: of a sequence-to-sequence model, with its tokenizer unless
    ///     `generatorTokenizer` names another directory; its generation settings are used.
    ///   - models: the families of encoders and generators that the parts may be of.
    /// - Throws: what is thrown by loading the parts, or `RagError` when they do not fit together.
    public convenience init(
        questionEncoder: URL, generator: URL, questionTokenizer: URL? = nil,
        generatorTokenizer: URL? = nil, configuration: RagConfiguration = RagConfiguration(),
        models: ModelRegistry = .standard
    ) throws {
        var configuration = configuration
        let json = try ModelFiles.generatorConfiguration(in: generator)
        configuration.prefix = try json.string("prefix") ?? configuration.prefix
        try self.init(
            questionEncoder: models.textEncoder(contentsOf: questionEncoder, role: .question),
            questionTokenizer: AutoTokenizer.load(contentsOf: questionTokenizer ?? questionEncoder),
            generator: models.generator(contentsOf: generator),
            generatorTokenizer: AutoTokenizer.load(contentsOf: generatorTokenizer ?? generator),
            configuration: configuration)
        generation = try GenerationConfiguration(
            json: JSONValue(ifPresent: GenerationConfiguration.file(in: generator)) ?? json)
        generation.omitIDs(of: self.generator.tokenIDs)
    }

    /// Loads the context encoder that belongs to a checkpoint, if there is one: from
    /// `ctx_encoder/`, from the checkpoint's own weights, or from where the reference's fine-tuning
    /// leaves it.
    ///
    /// - Parameter part: the checkpoint's weights, with the question encoder's configuration, which
    ///   also describes a context encoder among the weights.
    func loadContextEncoder(
        of directory: URL, _ part: ModelFiles, _ models: ModelRegistry
    ) throws {
        let own = directory.appendingPathComponent("ctx_encoder")
        if FileManager.default.fileExists(atPath: own.path) {
            try loadContextEncoder(from: own, models: models)
            return
        }
        if part.weights.names.contains(where: { $0.hasPrefix("rag.ctx_encoder.") }) {
            try setContextEncoder(models.textEncoder(part, .context), in: directory)
            return
        }
        if let folder = fineTunedContextEncoder(of: directory) {
            try loadContextEncoder(from: folder, models: models)
        }
    }

    /// The reference writes `…/checkpoint7` and `…/dpr_ctx_checkpoint/checkpoint7`.
    private func fineTunedContextEncoder(of directory: URL) -> URL? {
        let name = "dpr_ctx_checkpoint"
        let beside = directory.deletingLastPathComponent().appendingPathComponent(name)
        let candidates = [
            beside.appendingPathComponent(directory.lastPathComponent), beside,
            directory.appendingPathComponent(name),
        ]
        return candidates.first {
            FileManager.default.fileExists(
                atPath: $0.appendingPathComponent("config.json").path)
        }
    }
}
