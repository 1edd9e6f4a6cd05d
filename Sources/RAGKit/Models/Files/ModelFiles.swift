import Foundation

/// The configuration and the weights of one model, in a directory of its own or as a part of a RAG
/// checkpoint.
struct ModelFiles {
    /// The model's own `config.json`.
    let configuration: JSONValue
    /// The directory's weights; those of all parts where the model is part of a RAG checkpoint.
    let weights: ModelWeights
    /// True if the model is part of a RAG checkpoint.
    let isPart: Bool

    /// The weights of the RAG checkpoint that the model is part of.
    var checkpoint: ModelWeights? { isPart ? weights : nil }
}

extension ModelFiles {
    /// - Parameter key: the part's key in the `config.json` of a RAG checkpoint.
    /// - Throws: `CheckpointError`, `ConfigurationError` or `JSONError`.
    private init(in directory: URL, partUnder key: String) throws {
        (configuration, isPart) = try Self.configuration(in: directory, partUnder: key)
        weights = try ModelWeights(directory: directory)
    }

    /// The files of a text encoder. A RAG checkpoint describes both of its encoders under one key.
    static func textEncoder(in directory: URL) throws -> ModelFiles {
        try ModelFiles(in: directory, partUnder: "question_encoder")
    }

    /// The files of a generator.
    static func generator(in directory: URL) throws -> ModelFiles {
        try ModelFiles(in: directory, partUnder: "generator")
    }

    /// The `config.json` of a generator: the directory's own, or that part of a RAG checkpoint's.
    static func generatorConfiguration(in directory: URL) throws -> JSONValue {
        try configuration(in: directory, partUnder: "generator").json
    }

    private static func configuration(
        in directory: URL, partUnder key: String
    ) throws -> (json: JSONValue, isPart: Bool) {
        let json = try configurationFile(in: directory)
        guard try json.string("model_type") == "rag" else { return (json, false) }
        guard let part = json[key] else {
            throw ConfigurationError.missing(key: key, model: "RAG model")
        }
        return (part, true)
    }
}

extension ConfigurationError {
    /// Throws unless the `model_type` in `json` is `type` or missing.
    static func check(_ json: JSONValue, isOfType type: String) throws {
        let found = try json.string("model_type") ?? type
        guard found == type else {
            throw unsupported(key: "model_type", value: found, expected: type)
        }
    }
}

extension ModelWeights {
    /// The weights of a RAG checkpoint's encoder, under the names that they have in the encoder.
    func part(_ role: EncoderRole) throws -> ModelWeights {
        let prefixes = ["", "rag."].map { "\($0)\(role.checkpointKey)." }
        return try renamed { name in
            prefixes.first(where: name.hasPrefix).map { String(name.dropFirst($0.count)) }
        }
    }
}
