/// Encodes every passage of a knowledge base: what indexes are made of.
public struct PassageEncoder {
    /// Turns the words of a passage into ids: a pair of title and text.
    public let tokenizer: any Tokenizer
    /// How many tokens are encoded at a time.
    public var tokensPerBatch = 4096

    public init(tokenizer: any Tokenizer) { self.tokenizer = tokenizer }

    /// The ids of one passage, title and text as a pair, cut to what encoder and tokenizer can take
    /// (the longer of the two first).
    public func ids(of passage: Passage, for encoder: any TextEncoder) -> [Int32] {
        let limit = min(encoder.maxTokens, tokenizer.modelMaxLength ?? encoder.maxTokens)
        return tokenizer.encode(passage.title, pair: passage.text, maxLength: limit).ids
    }

    /// The vectors of all passages, in order: `[passages, dimension]`.
    ///
    /// Runs in evaluation mode without a tape. Batches are formed once over the whole base, passages
    /// of like length together, so a row does not depend on who encodes it.
    ///
    /// - Parameter progress: called after each batch with the number of passages done; throwing
    ///   from it stops the work.
    public func encode(
        _ base: KnowledgeBase, with encoder: any TextEncoder,
        progress: (Int) throws -> Void = { _ in }
    ) throws -> Tensor {
        let sequences = try (0..<base.count).map {
            ids(of: try base.passage(PassageID(rawValue: $0)), for: encoder)
        }
        let order = sequences.indices.sorted {
            (sequences[$0].count, $0) < (sequences[$1].count, $1)
        }
        let dimension = encoder.dimension
        let vectors = Tensor(shape: [base.count, dimension]) { _ in }
        try ForwardContext.$current.withValue(.inference) {
            var next = 0
            while next < order.count {
                let members = order[next...].prefix(batchSize(sequences[order[next]].count))
                let rows = encoder(TokenBatch(members.map { sequences[$0] }))
                for (row, passage) in members.enumerated() {
                    (vectors.writablePointer + passage * dimension)
                        .update(from: rows.pointer + row * dimension, count: dimension)
                }
                next += members.count
                try progress(next)
            }
        }
        return vectors
    }

    private func batchSize(_ length: Int) -> Int { max(1, tokensPerBatch / max(1, length)) }
}
