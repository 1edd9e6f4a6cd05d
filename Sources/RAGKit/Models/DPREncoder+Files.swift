import Foundation

extension DPREncoder {
    /// Loads an encoder's directory: DPR's, a plain BERT's, a RAG checkpoint's own, or one of
    /// sentence-transformers.
    ///
    /// The names of the weights tell how they are laid out, so a context encoder's file may serve as a
    /// question encoder and the other way round. Of a RAG checkpoint the part of this `role` is taken.
    ///
    /// - Throws: `CheckpointError` naming every tensor that does not fit, or a configuration error.
    public convenience init(contentsOf directory: URL, role: EncoderRole) throws {
        if SentenceTransformer.isPresent(in: directory) {
            let model = try SentenceTransformer(directory)
            self.init(configuration: try model.configuration(role))
            let hasBias = model.dense?.hasBias ?? true
            try load(model.weights(role)) { !hasBias && $0.hasSuffix("encode_proj.bias") }
            return
        }
        let json = try configurationFile(in: directory)
        let weights = try ModelWeights(directory: directory)
        guard try json.string("model_type") == "rag" else {
            self.init(configuration: try DPRConfiguration(role: role, json: json))
            try load(EncoderNames.own(weights, role))
            return
        }
        guard let encoder = json["question_encoder"] else {
            throw ConfigurationError.missing(key: "question_encoder", model: "RAG model")
        }
        let part = try weights.renamed { name in
            ["", "rag."].map { "\($0)\(role.checkpointKey).\(role.checkpointKey)." }
                .first(where: name.hasPrefix)
                .map { role.checkpointKey + "." + name.dropFirst($0.count) }
        }
        try self.init(weights: part, role: role, like: DPRConfiguration(role: role, json: encoder))
    }

    /// An encoder whose configuration is not written anywhere: like another one's, but for the sizes
    /// that its weights show.
    convenience init(
        weights: ModelWeights, role: EncoderRole, like other: DPRConfiguration
    ) throws {
        let own = try EncoderNames.own(weights, role)
        var configuration = other
        configuration.role = role
        let words = "\(role.checkpointKey).bert_model.embeddings.word_embeddings.weight"
        if let shape = own.shape(words), shape.count == 2, shape[0] > 0 {
            configuration.bert.vocabSize = shape[0]
        }
        let shape = own.shape("\(role.checkpointKey).encode_proj.weight")
        configuration.projectionDim = shape?.first ?? 0
        self.init(configuration: configuration)
        try load(own)
    }

    /// Writes `config.json` and `model.safetensors` into a directory that exists.
    public func saveFiles(in directory: URL) throws {
        try huggingFaceConfiguration.write(to: directory.appendingPathComponent("config.json"))
        try saveWeights(to: directory.appendingPathComponent("model.safetensors"))
    }
}

/// The `config.json` of a model directory.
func configurationFile(in directory: URL) throws -> JSONValue {
    let file = directory.appendingPathComponent("config.json")
    guard FileManager.default.fileExists(atPath: file.path) else {
        throw CheckpointError.missingFile(
            file: file.path,
            advice: "a model directory holds config.json and model.safetensors or pytorch_model.bin"
        )
    }
    return try JSONValue(contentsOf: file)
}

/// How a BERT's weights are named in files of different origin.
enum EncoderNames {
    private static let marker = "embeddings.word_embeddings.weight"

    /// The weights under the names of an encoder of this role, whatever they are called in the file:
    /// `embeddings.…` (a bare BERT), `bert.embeddings.…` (one with heads, which are left out),
    /// `question_encoder.bert_model.embeddings.…` or `ctx_encoder.bert_model.embeddings.…`.
    ///
    /// - Throws: `CheckpointError.unknownLayout` when the file has no word embeddings, or several.
    static func own(_ weights: ModelWeights, _ role: EncoderRole) throws -> ModelWeights {
        let prefixes = weights.names.filter { $0.hasSuffix(marker) }
            .map { String($0.dropLast(marker.count)) }
        guard prefixes.count == 1, let prefix = prefixes.first else {
            throw CheckpointError.unknownLayout(
                file: weights.source,
                expected: "BERT encoder, whose one '…\(marker)' tells where it lies",
                found: prefixes.isEmpty ? weights.names : prefixes.map { $0 + marker })
        }
        let own = role.checkpointKey + "."
        let tower = prefix.hasSuffix("bert_model.") ? String(prefix.dropLast(11)) : nil
        return try weights.renamed { name in
            if name.hasPrefix(prefix), prefix != "" || !name.hasPrefix("cls.") {
                return own + "bert_model." + current(String(name.dropFirst(prefix.count)))
            }
            if let tower, name.hasPrefix(tower + "encode_proj.") {
                return own + name.dropFirst(tower.count)
            }
            // The heads that BERT was trained with.
            return name.hasPrefix("cls.predictions.") || name.hasPrefix("cls.seq_relationship.")
                ? nil : name
        }
    }

    /// The first checkpoints, converted from TensorFlow, call a norm's gain and bias gamma and beta.
    private static func current(_ name: String) -> String {
        for (old, new) in [("LayerNorm.gamma", "weight"), ("LayerNorm.beta", "bias")]
        where name.hasSuffix(old) {
            return name.dropLast(old.count) + "LayerNorm." + new
        }
        return name
    }
}
