public import Foundation

/// The families of models that can be loaded, by the `model_type` of their `config.json`.
///
/// A registry is a value. A family of your own is added to a copy, which is passed where
/// directories are opened:
///
///     let models = ModelRegistry.standard.registering(
///         generator: { json in MyGenerator(configuration: try MyConfiguration(json: json)) },
///         for: "my_generator")
///     let model = try RagModel(contentsOf: checkpoint, models: models)
public struct ModelRegistry: Sendable {
    /// Builds a text encoder from its `config.json`; the values of its weights are loaded
    /// afterwards.
    public typealias TextEncoderBuilder =
        @Sendable (_ configuration: JSONValue, _ role: EncoderRole) throws -> any TextEncoder
    /// Builds a generator from its `config.json`; the values of its weights are loaded afterwards.
    public typealias GeneratorBuilder =
        @Sendable (_ configuration: JSONValue) throws -> any Seq2SeqGenerator

    /// The families of RAGKit: encoders of DPR and BERT, generators of BART and T5.
    public static let standard = ModelRegistry(
        textEncoders: ["dpr": .dpr, "bert": .dpr],
        generators: [
            "bart": { try BartGenerator($0, partOf: $1) },
            "t5": { try T5Generator($0, partOf: $1) },
        ])

    /// The two ways in which encoders of one family are made.
    private struct TextEncoderFamily: Sendable {
        /// Builds an encoder without values.
        var make: TextEncoderBuilder
        /// Builds an encoder with the values in `files`.
        var load: @Sendable (_ files: ModelFiles, _ role: EncoderRole) throws -> any TextEncoder

        static let dpr = TextEncoderFamily(
            make: { DPREncoder(configuration: try DPRConfiguration(role: $1, json: $0)) },
            load: { try DPREncoder($0, role: $1) })
    }

    private var textEncoders: [String: TextEncoderFamily]
    /// The second argument holds the weights of the RAG checkpoint that a generator is part of.
    private var generators:
        [String: @Sendable (JSONValue, ModelWeights?) throws -> any Seq2SeqGenerator]

    /// A copy that also builds text encoders of this type.
    ///
    /// The names of the encoder's parameters are expected in weight files, also after the part's
    /// prefix in a RAG checkpoint (`rag.question_encoder.`, `rag.ctx_encoder.`).
    public func registering(
        textEncoder make: @escaping TextEncoderBuilder, for modelType: String
    ) -> ModelRegistry {
        var copy = self
        copy.textEncoders[modelType] = TextEncoderFamily(make: make) { files, role in
            let encoder = try make(files.configuration, role)
            try encoder.load(files.isPart ? files.weights.part(role) : files.weights)
            return encoder
        }
        return copy
    }

    /// A copy that also builds generators of this type.
    ///
    /// The names of the generator's parameters are expected in weight files, also after the part's
    /// prefix in a RAG checkpoint (`rag.generator.`).
    public func registering(
        generator make: @escaping GeneratorBuilder, for modelType: String
    ) -> ModelRegistry {
        var copy = self
        copy.generators[modelType] = { json, _ in try make(json) }
        return copy
    }

    /// Loads a text encoder from its directory, from a sentence-transformers directory, or from the
    /// part of this `role` in a RAG checkpoint.
    ///
    /// - Throws: `CheckpointError` naming every tensor that does not fit, or a configuration error.
    public func textEncoder(
        contentsOf directory: URL, role: EncoderRole
    ) throws -> any TextEncoder {
        if SentenceTransformer.isPresent(in: directory) {
            return try DPREncoder(contentsOf: directory, role: role)
        }
        return try textEncoder(ModelFiles.textEncoder(in: directory), role)
    }

    /// Loads a generator from its directory, or from the generator of a RAG checkpoint.
    ///
    /// - Throws: `CheckpointError` naming every tensor that does not fit, or a configuration error.
    public func generator(contentsOf directory: URL) throws -> any Seq2SeqGenerator {
        let files = try ModelFiles.generator(in: directory)
        let generator = try makeGenerator(files.configuration, partOf: files.checkpoint)
        try generator.load(files)
        return generator
    }

    /// Loads the encoder that `files` describe.
    func textEncoder(_ files: ModelFiles, _ role: EncoderRole) throws -> any TextEncoder {
        try family(of: files.configuration).load(files, role)
    }

    /// Builds an encoder without values for the configuration of a RAG checkpoint's encoder.
    func makeTextEncoder(_ json: JSONValue, _ role: EncoderRole) throws -> any TextEncoder {
        try family(of: json).make(json, role)
    }

    /// Builds a generator without values.
    ///
    /// - Parameter checkpoint: the weights of the RAG checkpoint that it is part of.
    func makeGenerator(
        _ json: JSONValue, partOf checkpoint: ModelWeights?
    ) throws -> any Seq2SeqGenerator {
        try Self.entry(json.string("model_type") ?? "", of: generators, part: "generator")(
            json, checkpoint)
    }

    private func family(of json: JSONValue) throws -> TextEncoderFamily {
        // DPR's own files may leave the type out.
        try Self.entry(json.string("model_type") ?? "dpr", of: textEncoders, part: "text encoder")
    }

    private static func entry<Entry>(
        _ type: String, of entries: [String: Entry], part: String
    ) throws -> Entry {
        guard let entry = entries[type] else {
            throw ConfigurationError.unsupported(
                key: "model_type", value: type,
                expected: "a \(part) that the ModelRegistry holds: "
                    + entries.keys.sorted().joined(separator: ", "))
        }
        return entry
    }
}
