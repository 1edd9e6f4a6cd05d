public import Foundation

extension DPREncoder {
    /// Loads an encoder from a directory: DPR's, a plain BERT's, a RAG checkpoint's, or one of
    /// sentence-transformers.
    ///
    /// The layout follows from the names of the weights, so a context encoder's file may serve as a
    /// question encoder and the other way round. In a RAG checkpoint the part of this `role` is
    /// read.
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
        try self.init(ModelFiles.textEncoder(in: directory), role: role)
    }

    /// Loads an encoder from its own files, or the part of this `role` from a RAG checkpoint.
    ///
    /// - Throws: as `init(contentsOf:role:)`.
    convenience init(_ files: ModelFiles, role: EncoderRole) throws {
        let configuration = try DPRConfiguration(role: role, json: files.configuration)
        if files.isPart {
            try self.init(weights: files.weights.part(role), role: role, like: configuration)
        } else {
            self.init(configuration: configuration)
            try load(BertNames.own(files.weights, role))
        }
    }

    /// Loads an encoder whose configuration is not stored: it is like `other`, except for sizes
    /// that follow from the weights.
    convenience init(
        weights: ModelWeights, role: EncoderRole, like other: DPRConfiguration
    ) throws {
        let own = try BertNames.own(weights, role)
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
