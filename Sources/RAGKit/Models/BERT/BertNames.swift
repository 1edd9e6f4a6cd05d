/// The names of a BERT's weights in files of different origin.
enum BertNames {
    private static let marker = "embeddings.word_embeddings.weight"

    /// The weights under the names of an encoder of this role. In the file they may be called
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
            // The heads of BERT's own training are left out.
            return name.hasPrefix("cls.predictions.") || name.hasPrefix("cls.seq_relationship.")
                ? nil : name
        }
    }

    /// The first checkpoints, converted from TensorFlow, call a norm's gain and bias gamma and
    /// beta.
    private static func current(_ name: String) -> String {
        for (old, new) in [("LayerNorm.gamma", "weight"), ("LayerNorm.beta", "bias")]
        where name.hasSuffix(old) {
            return name.dropLast(old.count) + "LayerNorm." + new
        }
        return name
    }
}
