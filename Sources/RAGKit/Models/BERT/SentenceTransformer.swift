import Foundation

/// A directory of sentence-transformers: a list of modules that are applied in order.
///
/// Supported are a BERT, its pooling (first token or mean), at most one dense layer, and
/// normalization; anything else is an error that names it.
struct SentenceTransformer {
    /// A linear layer after the pooling.
    struct Dense {
        var directory: URL
        var outputs: Int
        var hasBias: Bool
        var activation: Activation
    }

    private let transformer: URL
    private let bert: JSONValue
    private let pooling: Pooling
    let dense: Dense?
    private let normalizes: Bool
    private let maxTokens: Int?

    static func isPresent(in directory: URL) -> Bool {
        FileManager.default.fileExists(
            atPath: directory.appendingPathComponent("modules.json").path)
    }

    /// - Throws: `ConfigurationError` naming file and key, `JSONError` or `CheckpointError`.
    init(_ directory: URL) throws {
        let modules = try Self.modules(directory)
        let kinds = modules.map(\.kind)
        let known = ["Transformer", "Pooling", "Dense", "Normalize"]
        if let other = kinds.first(where: { !known.contains($0) }) {
            throw ConfigurationError.unsupported(
                key: "modules.json: type", value: other, expected: known.joined(separator: ", "))
        }
        let order = known.filter(kinds.contains)
        guard kinds == order, kinds.starts(with: ["Transformer", "Pooling"]) else {
            throw ConfigurationError.unsupported(
                key: "modules.json", value: kinds.joined(separator: ", "),
                expected: "Transformer, Pooling, and then at most a Dense and a Normalize")
        }
        transformer = modules[0].directory
        let bert = try configurationFile(in: transformer)
        self.bert = bert
        pooling = try Self.pooling(modules[1].directory, width: bert.int("hidden_size"))
        dense = try modules.first { $0.kind == "Dense" }.map {
            try Self.dense($0.directory, width: bert.int("hidden_size"))
        }
        normalizes = kinds.contains("Normalize")
        maxTokens = try Self.maxTokens(directory, transformer)
    }

    /// The configuration of an encoder of this role.
    func configuration(_ role: EncoderRole) throws -> DPRConfiguration {
        var configuration = try DPRConfiguration(role: role, json: bert)
        configuration.pooling = pooling
        configuration.normalizes = normalizes
        configuration.projectionDim = dense?.outputs ?? 0
        configuration.projectionActivation = dense?.activation ?? .identity
        configuration.maxTokens = maxTokens
        return configuration
    }

    /// The weights under the names of an encoder of this role.
    func weights(_ role: EncoderRole) throws -> ModelWeights {
        let bert = try BertNames.own(ModelWeights(directory: transformer), role)
        guard let dense else { return bert }
        let layer = try ModelWeights(directory: dense.directory).renamed { name in
            name.hasPrefix("linear.")
                ? "\(role.checkpointKey).encode_proj.\(name.dropFirst(7))" : name
        }
        return try bert.merging(layer)
    }

    // MARK: - Files

    private static func modules(_ directory: URL) throws -> [(kind: String, directory: URL)] {
        let file = directory.appendingPathComponent("modules.json")
        let list = try JSONValue(contentsOf: file).arrayValue ?? []
        return try list.map { module in
            let path = try module.string("path") ?? ""
            let type = try module.string("type") ?? ""
            guard type.hasPrefix("sentence_transformers."),
                let kind = type.split(separator: ".").last
            else {
                throw ConfigurationError.unsupported(
                    key: "modules.json: type", value: type, expected: "sentence_transformers.…")
            }
            // The list is not trusted: a path must not lead out of the directory.
            guard !path.contains("/"), !path.contains("\\"), !path.hasPrefix(".") else {
                throw ConfigurationError.unsupported(
                    key: "modules.json: path", value: path, expected: "a folder's name")
            }
            return (String(kind), path.isEmpty ? directory : directory.appendingPathComponent(path))
        }
    }

    private static func pooling(_ directory: URL, width: Int?) throws -> Pooling {
        let json = try configurationFile(in: directory)
        var modes = (json.objectValue?.keys ?? []).filter {
            $0.hasPrefix("pooling_mode_") && json[$0]?.boolValue == true
        }
        if let mode = try json.string("pooling_mode") { modes = [mode] }
        if let found = try json.int("word_embedding_dimension"), found != width {
            throw ConfigurationError.unsupported(
                key: "1_Pooling: word_embedding_dimension", value: "\(found)",
                expected: "the hidden size \(width.map { "\($0)" } ?? "")")
        }
        switch modes {
        case ["pooling_mode_cls_token"], ["cls"]: return .cls
        case ["pooling_mode_mean_tokens"], ["mean"]: return .mean
        default:
            throw ConfigurationError.unsupported(
                key: "1_Pooling", value: modes.isEmpty ? "none" : modes.joined(separator: " + "),
                expected: "pooling_mode_cls_token or pooling_mode_mean_tokens")
        }
    }

    private static func dense(_ directory: URL, width: Int?) throws -> Dense {
        let json = try configurationFile(in: directory)
        let reader = ConfigurationReader(json: json, model: "dense layer")
        let inputs = try reader.size("in_features")
        guard inputs == width else {
            throw ConfigurationError.unsupported(
                key: "Dense: in_features", value: "\(inputs)",
                expected: "the hidden size \(width.map { "\($0)" } ?? "")")
        }
        let activations: [String: Activation] = [
            "torch.nn.modules.linear.Identity": .identity,
            "torch.nn.modules.activation.Tanh": .tanh,
            "torch.nn.modules.activation.ReLU": .relu,
            "torch.nn.modules.activation.GELU": .gelu,
        ]
        let name = try json.string("activation_function") ?? "torch.nn.modules.activation.Tanh"
        guard let activation = activations[name] else {
            throw ConfigurationError.unsupported(
                key: "Dense: activation_function", value: name,
                expected: activations.keys.sorted().joined(separator: ", "))
        }
        return Dense(
            directory: directory, outputs: try reader.size("out_features"),
            hasBias: try json.bool("bias") ?? true, activation: activation)
    }

    /// The length of the longest text, in tokens. Refuses settings that would change texts before.
    private static func maxTokens(_ directory: URL, _ transformer: URL) throws -> Int? {
        let prompts = try JSONValue(
            ifPresent: directory.appendingPathComponent("config_sentence_transformers.json"))
        if let name = try prompts?.string("default_prompt_name") {
            throw ConfigurationError.unsupported(
                key: "config_sentence_transformers.json: default_prompt_name", value: name,
                expected: "none: no prompt is put before texts")
        }
        let bert = try JSONValue(
            ifPresent: transformer.appendingPathComponent("sentence_bert_config.json"))
        let tokenizer = try JSONValue(
            ifPresent: transformer.appendingPathComponent("tokenizer_config.json"))
        if try bert?.bool("do_lower_case") == true, try tokenizer?.bool("do_lower_case") == false {
            throw ConfigurationError.unsupported(
                key: "sentence_bert_config.json: do_lower_case", value: "true",
                expected: "what tokenizer_config.json says, false")
        }
        return try bert.flatMap { json in
            try json.int("max_seq_length") == nil
                ? nil
                : ConfigurationReader(json: json, model: "sentence-transformers model")
                    .size("max_seq_length")
        }
    }
}
