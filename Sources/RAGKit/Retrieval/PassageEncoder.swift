/// Encodes the passages of a knowledge base: the vectors that indexes are made of.
public struct PassageEncoder {
    /// Turns the words of a passage into ids: a pair of title and text.
    public let tokenizer: any Tokenizer
    /// The number of tokens that are encoded at a time; one passage may have more.
    public var tokensPerBatch = 4096

    public init(tokenizer: any Tokenizer) { self.tokenizer = tokenizer }

    /// The ids of one passage, title and text as a pair, cut to what encoder and tokenizer can take
    /// (the longer of the two first).
    public func ids(of passage: Passage, for encoder: any TextEncoder) -> [Int32] {
        tokenizer.encode(passage.title, pair: passage.text, maxLength: limit(for: encoder)).ids
    }

    /// The ids of some passages, in order: those that the base keeps, where it holds the very
    /// passage, and the others made now.
    ///
    /// - Parameter source: The base that the passages were found in; nil for the caller's own, whose
    ///   ids may be those of others.
    public func ids(
        of passages: [Passage], for encoder: any TextEncoder, from source: RetrievalSource?
    ) -> [[Int32]] {
        guard let base = source?.knowledgeBase,
            let kept = base.tokenIDs(fingerprint: fingerprint(for: encoder))
        else { return passages.map { ids(of: $0, for: encoder) } }
        return passages.map {
            base.holds($0) ? kept[$0.id.rawValue] : ids(of: $0, for: encoder)
        }
    }

    /// The ids of all passages: those that the base has, or made now and kept with it, so that a
    /// passage is tokenized once however often it is encoded.
    ///
    /// - Parameter storage: The place where ids that are made now are kept.
    /// - Throws: What reading passages and writing ids throws.
    public func tokens(
        of base: KnowledgeBase, for encoder: any TextEncoder,
        storage: KnowledgeBase.TokenStorageKind = .memory
    ) throws -> TokenSequences {
        let fingerprint = fingerprint(for: encoder)
        if let kept = base.tokenIDs(fingerprint: fingerprint) { return kept }
        return try base.addTokenIDs(fingerprint: fingerprint, storage: storage) { passages in
            passages.map { ids(of: $0, for: encoder) }
        }
    }

    /// Names the tokenizer and the length that its ids are cut to: a base keeps them under it.
    func fingerprint(for encoder: any TextEncoder) -> String {
        "\(tokenizer.fingerprint)-passages-\(limit(for: encoder).map(String.init) ?? "whole")"
    }

    private func limit(for encoder: any TextEncoder) -> Int? {
        [encoder.maxTokens, tokenizer.modelMaxLength].compactMap { $0 }.min()
    }

    /// The vectors of all passages, in order: `[passages, dimension]`.
    ///
    /// - Parameter progress: Called after each batch with the number of passages done; throwing
    ///   from it stops the work.
    /// - Throws: What reading a passage or `progress` throws;
    ///   ``IndexError/notFinite(row:column:value:)``.
    public func encode(
        _ base: KnowledgeBase, with encoder: any TextEncoder,
        progress: (Int) throws -> Void = { _ in }
    ) throws -> Tensor {
        let writer = try VectorFileWriter(
            count: base.count, dimension: encoder.dimension, at: nil)
        try encode(base, with: encoder, to: writer, progress: progress)
        return try writer.finish().vectors
    }

    /// Hands the vectors of all passages, in order, to a writer, a block at a time.
    ///
    /// - Parameters:
    ///   - writer: For as many rows as the base has passages.
    ///   - progress: Called after each batch with the number of passages done; throwing from it
    ///     stops the work.
    /// - Throws: As ``encode(_:with:progress:)``, or what the writer throws.
    public func encode(
        _ base: KnowledgeBase, with encoder: any TextEncoder, to writer: VectorFileWriter,
        progress: (Int) throws -> Void = { _ in }
    ) throws {
        try encoder.encode(
            tokens(of: base, for: encoder), tokensPerBatch: tokensPerBatch, progress: progress
        ) { try writer.append($0) }
    }
}

extension TextEncoder {
    /// The vectors of many sequences, in order: `[sequences, dimension]`.
    ///
    /// Runs in evaluation mode without a tape. Batches are formed of sequences of similar length, the
    /// same for any number of threads.
    ///
    /// - Parameters:
    ///   - tokensPerBatch: The number of tokens that are encoded at a time; one sequence may have
    ///     more.
    ///   - progress: Called after each batch with the number of sequences done; throwing from it
    ///     stops the work.
    /// - Throws: What `progress` throws; ``IndexError/notFinite(row:column:value:)``.
    public func vectors(
        of tokens: TokenSequences, tokensPerBatch: Int = 4096,
        progress: (Int) throws -> Void = { _ in }
    ) throws -> Tensor {
        let writer = try VectorFileWriter(count: tokens.count, dimension: dimension, at: nil)
        try encode(tokens, tokensPerBatch: tokensPerBatch, progress: progress) {
            try writer.append($0)
        }
        return try writer.finish().vectors
    }

    /// Hands over the vectors of many sequences, in order, a block at a time.
    fileprivate func encode(
        _ tokens: TokenSequences, tokensPerBatch: Int, progress: (Int) throws -> Void,
        take: (Tensor) throws -> Void
    ) throws {
        var done = 0
        for rows in EncodingBlock.rows(of: tokens.count) {
            let block = EncodingBlock(rows, of: tokens, tokensPerBatch: tokensPerBatch)
            let vectors = block.emptyVectors(of: self)
            for number in 0..<block.count {
                done += block.encode(number, with: self, into: vectors)
                try progress(done)
            }
            try take(vectors)
        }
    }
}
