import Foundation

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
    ///     `generatorTokenizer` names another directory; its generation settings are taken over.
    /// - Throws: what is thrown by loading the parts, or `RagError` when they do not fit together.
    public convenience init(
        questionEncoder: URL, generator: URL, questionTokenizer: URL? = nil,
        generatorTokenizer: URL? = nil, configuration: RagConfiguration = RagConfiguration()
    ) throws {
        var configuration = configuration
        let json = try generatorConfiguration(in: generator)
        configuration.prefix = try json.string("prefix") ?? configuration.prefix
        try self.init(
            questionEncoder: DPREncoder(contentsOf: questionEncoder, role: .question),
            questionTokenizer: loadTokenizer(from: questionTokenizer ?? questionEncoder),
            generator: loadGenerator(from: generator),
            generatorTokenizer: loadTokenizer(from: generatorTokenizer ?? generator),
            configuration: configuration)
        generation = try GenerationConfiguration(
            json: JSONValue(ifPresent: generationFile(in: generator)) ?? json)
        generation.omitIDs(of: self.generator.tokenIDs)
    }

    /// Loads the context encoder that belongs to a checkpoint, if there is one: from
    /// `ctx_encoder/`, from the checkpoint's own weights, or from where the reference's fine-tuning
    /// leaves it.
    func loadContextEncoder(of directory: URL, _ weights: ModelWeights) throws {
        let own = directory.appendingPathComponent("ctx_encoder")
        if FileManager.default.fileExists(atPath: own.path) {
            try loadContextEncoder(from: own)
            return
        }
        let prefix = "rag.ctx_encoder."
        if weights.names.contains(where: { $0.hasPrefix(prefix) }) {
            guard let question = questionEncoder as? DPREncoder else {
                throw RagError.invalidDirectory(
                    path: directory.path,
                    reason: "it holds a context encoder, whose sizes are those of the question "
                        + "encoder only if that is a DPR encoder")
            }
            let part = try weights.renamed { name in
                name.hasPrefix(prefix) ? String(name.dropFirst(prefix.count)) : nil
            }
            try setContextEncoder(
                DPREncoder(weights: part, role: .context, like: question.configuration),
                in: directory)
            return
        }
        if let folder = fineTunedContextEncoder(of: directory) {
            try loadContextEncoder(from: folder)
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

/// Loads a sequence-to-sequence model's directory, or the generator of a RAG checkpoint.
///
/// - Throws: `CheckpointError` naming every tensor that does not fit, or a configuration error.
public func loadGenerator(from directory: URL) throws -> any Seq2SeqGenerator {
    let isPart = try configurationFile(in: directory).string("model_type") == "rag"
    let whole = try ModelWeights(directory: directory)
    let generator = try makeGenerator(
        generatorConfiguration(in: directory), partOf: isPart ? whole : nil)
    let weights = try whole.laidOut(
        for: generator,
        [
            WeightLayout(inFile: "", inModel: ""),
            WeightLayout(inFile: "", inModel: "model."),  // without its language-model head
            WeightLayout(inFile: "rag.generator.", inModel: ""),
            WeightLayout(inFile: "generator.", inModel: ""),
        ])
    try generator.load(weights, ignoring: { name in isPart && name.contains("_encoder.") })
    return generator
}

private func generatorConfiguration(in directory: URL) throws -> JSONValue {
    let json = try configurationFile(in: directory)
    guard try json.string("model_type") == "rag" else { return json }
    guard let generator = json["generator"] else {
        throw ConfigurationError.missing(key: "generator", model: "RAG model")
    }
    return generator
}
