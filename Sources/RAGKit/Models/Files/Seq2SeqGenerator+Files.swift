/// The name of the matrix of a generator's logits, where that is not the embedding matrix.
let languageModelHeadName = "lm_head.weight"

extension Seq2SeqGenerator {
    /// Loads the weights of a generator's directory, or of a RAG checkpoint's generator.
    ///
    /// - Throws: `CheckpointError` naming every tensor that does not fit.
    func load(_ files: ModelFiles) throws {
        let weights = try files.weights.laidOut(
            for: self,
            [
                WeightLayout(inFile: "", inModel: ""),
                WeightLayout(inFile: "", inModel: "model."),  // without its language-model head
                WeightLayout(inFile: "rag.generator.", inModel: ""),
                WeightLayout(inFile: "generator.", inModel: ""),
            ])
        try load(weights, ignoring: { name in files.isPart && name.contains("_encoder.") })
    }
}

extension ModelWeights {
    /// True if the file holds a matrix for the logits besides the embedding matrix.
    var hasLanguageModelHead: Bool {
        names.contains { $0.hasSuffix(languageModelHeadName) }
    }
}
