public import Foundation

/// The place where the context encoder's tokenizer was found.
public enum ContextTokenizerSource: Sendable, Equatable {
    /// In a directory: the one given, the encoder's own, or its sibling `<folder>_tokenizer`.
    case directory(String)
    /// There was none, so it is the question encoder's, whose vocabulary has the same size.
    case questionTokenizer
}

extension RagModel {
    /// Loads a RAG checkpoint: `config.json`, `generation_config.json`, the weights (safetensors or
    /// `pytorch_model.bin`, whole or in shards), the two tokenizers, and a context encoder if one is
    /// there: in `ctx_encoder/`, among the weights, or where the reference's fine-tuning puts it,
    /// `dpr_ctx_checkpoint/` beside or inside the directory.
    ///
    /// - Parameter models: the families of encoders and generators that the parts may be of.
    /// - Throws: `RagError`, `CheckpointError`, `TokenizerError`, `JSONError` or
    ///   `ConfigurationError`, naming what is missing or does not fit.
    public convenience init(
        contentsOf directory: URL, models: ModelRegistry = .standard
    ) throws {
        let json = try configurationFile(in: directory)
        guard let encoderJSON = json["question_encoder"], let generatorJSON = json["generator"]
        else {
            throw RagError.invalidDirectory(
                path: directory.path,
                reason: "config.json has no question_encoder and generator: not a RAG checkpoint")
        }
        let weights = try ModelWeights(directory: directory)
        try self.init(
            questionEncoder: models.makeTextEncoder(encoderJSON, .question),
            questionTokenizer: AutoTokenizer.load(
                contentsOf: directory.appendingPathComponent("question_encoder_tokenizer")),
            generator: models.makeGenerator(generatorJSON, partOf: weights),
            generatorTokenizer: AutoTokenizer.load(
                contentsOf: directory.appendingPathComponent("generator_tokenizer")),
            configuration: RagConfiguration(json: json))
        let ownWeights = try weights.laidOut(for: self, RagModel.layouts)
        try load(ownWeights, ignoring: { $0.hasPrefix("rag.ctx_encoder.") })
        convertedTypes = weights.convertedTypes
        try loadGeneration(from: directory)
        try loadContextEncoder(
            of: directory,
            ModelFiles(configuration: encoderJSON, weights: ownWeights, isPart: true), models)
    }

    /// Loads a RAG checkpoint, to retrieve from a knowledge base by the current version of its index,
    /// which is mapped, not read.
    ///
    /// The context encoder is removed if it made the index, since encoding passages again would change
    /// nothing, unless `isTrained`. It stays and scores if another one made the index, as it may be
    /// for `best/` of a run that went on.
    ///
    /// - Parameters:
    ///   - isTrained: True to keep the context encoder, for training on.
    ///   - onFault: Told about each damaged version of the index that is skipped.
    /// - Throws: As ``init(contentsOf:models:)``; ``RetrievalError``, ``VersionError``, ``IndexError``.
    public convenience init(
        contentsOf directory: URL, knowledgeBase: KnowledgeBase, store: IndexStore,
        isTrained: Bool = false, models: ModelRegistry = .standard,
        onFault: (any Error) -> Void = { _ in }
    ) throws {
        try self.init(contentsOf: directory, models: models)
        let dense = try DenseRetriever(knowledgeBase, store: store, onFault: onFault)
        retriever = dense
        if !isTrained, let contextEncoder,
            contextEncoder.fingerprint == dense.version.origin.encoder
        {
            removeContextEncoder()
        }
    }

    /// Takes over how a checkpoint's answers are decoded, by the reference's rules for the present
    /// `configuration.marginalization`: see `GenerationConfiguration.init(ofCheckpoint:…)`.
    ///
    /// Loading a model does this; call it again after changing between RAG-token and RAG-sequence.
    ///
    /// - Throws: `JSONError`, `ConfigurationError` or `GenerationError` naming the key.
    public func loadGeneration(from directory: URL) throws {
        generation = try GenerationConfiguration(
            ofCheckpoint: configurationFile(in: directory),
            file: JSONValue(ifPresent: GenerationConfiguration.file(in: directory)),
            marginalization: configuration.marginalization)
        generation.omitIDs(of: generator.tokenIDs)
    }

    /// Loads a context encoder and its tokenizer, and turns on end-to-end training with them.
    ///
    /// - Parameters:
    ///   - directory: of a DPR, BERT or sentence-transformers encoder.
    ///   - tokenizer: of its tokenizer; by default the encoder's directory is searched, then its
    ///     sibling `<folder>_tokenizer`, then the question encoder's tokenizer is taken if the
    ///     vocabularies have the same size.
    ///   - models: the families of encoders that it may be of.
    /// - Returns: the place where the tokenizer was found.
    @discardableResult
    public func loadContextEncoder(
        from directory: URL, tokenizer: URL? = nil, models: ModelRegistry = .standard
    ) throws -> ContextTokenizerSource {
        try setContextEncoder(
            models.textEncoder(contentsOf: directory, role: .context), in: directory, tokenizer)
    }

    /// Sets the encoder with the tokenizer found for it, or neither.
    @discardableResult
    func setContextEncoder(
        _ encoder: any TextEncoder, in directory: URL, _ tokenizer: URL? = nil
    ) throws -> ContextTokenizerSource {
        let sibling = directory.deletingLastPathComponent()
            .appendingPathComponent(directory.lastPathComponent + "_tokenizer")
        let candidates =
            tokenizer.map { [$0] }
            ?? [directory, directory.appendingPathComponent("0_Transformer"), sibling]
            .filter(TokenizerFiles.exist)
        let (found, source): (any Tokenizer, ContextTokenizerSource)
        if let folder = candidates.first {
            (found, source) = (try AutoTokenizer.load(contentsOf: folder), .directory(folder.path))
        } else if questionTokenizer.vocabularySize == encoder.vocabularySize {
            (found, source) = (questionTokenizer, .questionTokenizer)
        } else {
            throw RagError.invalidDirectory(
                path: directory.path,
                reason: "there is no tokenizer for the context encoder, and the question encoder's "
                    + "has \(questionTokenizer.vocabularySize) ids for a vocabulary of "
                    + "\(encoder.vocabularySize): name its directory")
        }
        try setContextEncoder(encoder)
        setContextEncoderTokenizer(found)
        contextTokenizerSource = source
        return source
    }

    /// Writes the model as a directory that this and transformers load: atomically, over what was
    /// there before if `replacing`.
    ///
    /// The context encoder, if there is one, lies in `ctx_encoder/` with its tokenizer.
    ///
    /// - Throws: `RagError.notSavable`, `TokenizerError` or `FileError`.
    public func save(to directory: URL, replacing: Bool = false) throws {
        try AtomicDirectory.write(to: directory, replacing: replacing) { try saveFiles(in: $0) }
    }

    /// Writes the model's files into a directory that exists.
    public func saveFiles(in directory: URL) throws {
        guard let encoder = questionEncoder as? any HuggingFaceModel else {
            throw RagError.notSavable(part: "question encoder")
        }
        guard let writer = generator as? any HuggingFaceModel else {
            throw RagError.notSavable(part: "generator")
        }
        var json = configuration.json(
            questionEncoder: encoder.huggingFaceConfiguration,
            generator: writer.huggingFaceConfiguration)
        json["retrieval_vector_size"] = .int(questionEncoder.dimension)
        if configuration.marginalization == .sequence {
            json = generation.written(intoSequenceConfiguration: json)
        }
        // For the reference's RAG-token class this counts, whatever its generator's says.
        let hasHead = generator.namedValues().contains { $0.name == languageModelHeadName }
        json["tie_word_embeddings"] = .bool(!hasHead)
        try json.write(to: directory.appendingPathComponent("config.json"))
        try generation.json(generator.tokenIDs)
            .write(to: GenerationConfiguration.file(in: directory))
        try saveWeights(to: directory.appendingPathComponent("model.safetensors")) {
            !$0.hasPrefix("rag.ctx_encoder.")
        }
        try questionTokenizer.save(
            to: directory.appendingPathComponent("question_encoder_tokenizer"))
        try generatorTokenizer.save(to: directory.appendingPathComponent("generator_tokenizer"))
        if let (context, tokenizer) = try contextParts() {
            guard let savable = context as? any HuggingFaceModel else {
                throw RagError.notSavable(part: "context encoder")
            }
            let folder = directory.appendingPathComponent("ctx_encoder")
            try FileCalls.makeDirectories(folder)
            try savable.huggingFaceConfiguration
                .write(to: folder.appendingPathComponent("config.json"))
            try context.saveWeights(to: folder.appendingPathComponent("model.safetensors"))
            try tokenizer.save(to: folder)
        }
    }
}
