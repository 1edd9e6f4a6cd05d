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
        tokenizer.encode(passage.title, pair: passage.text, maxLength: limit(for: encoder)).ids
    }

    /// The ids of some passages, in order: those that the retriever's base keeps, where it holds the
    /// very passage, and the others made now.
    ///
    /// - Parameter retriever: what found the passages; a caller's own passages may have ids that mean
    ///   others in its base.
    public func ids(
        of passages: [Passage], for encoder: any TextEncoder, foundBy retriever: (any Retriever)?
    ) -> [[Int32]] {
        guard let base = (retriever as? any RefreshableRetriever)?.knowledgeBase,
            let kept = base.tokenIDs(fingerprint: fingerprint(for: encoder))
        else { return passages.map { ids(of: $0, for: encoder) } }
        return passages.map {
            base.holds($0) ? kept.ids(of: $0.id) : ids(of: $0, for: encoder)
        }
    }

    /// The ids of all passages: those that the base has, or made now and kept with it, so that a
    /// passage is tokenized once however often it is encoded.
    ///
    /// - Parameter storage: where ids that are made now are kept.
    /// - Throws: what reading passages and writing ids throws.
    public func tokens(
        of base: KnowledgeBase, for encoder: any TextEncoder,
        storage: KnowledgeBase.TokenStorageKind = .memory
    ) throws -> TokenColumn {
        let fingerprint = fingerprint(for: encoder)
        if let column = base.tokenIDs(fingerprint: fingerprint) { return column }
        return try base.addTokenIDs(fingerprint: fingerprint, storage: storage) { passages in
            passages.map { ids(of: $0, for: encoder) }
        }
    }

    /// Names the tokenizer and the length that its ids are cut to: what a base keeps them under.
    func fingerprint(for encoder: any TextEncoder) -> String {
        "\(tokenizer.fingerprint)-passages-\(limit(for: encoder))"
    }

    private func limit(for encoder: any TextEncoder) -> Int {
        min(encoder.maxTokens, tokenizer.modelMaxLength ?? encoder.maxTokens)
    }

    /// The vectors of all passages, in order: `[passages, dimension]`.
    ///
    /// - Parameter progress: called after each batch with the number of passages done; throwing
    ///   from it stops the work.
    /// - Throws: what reading a passage or `progress` throws.
    public func encode(
        _ base: KnowledgeBase, with encoder: any TextEncoder,
        progress: (Int) throws -> Void = { _ in }
    ) throws -> Tensor {
        try encoder.vectors(
            of: tokens(of: base, for: encoder), tokensPerBatch: tokensPerBatch, progress: progress)
    }
}

extension TextEncoder {
    /// The vectors of many sequences, in order: `[sequences, dimension]`.
    ///
    /// Runs in evaluation mode without a tape. Batches are formed once over all sequences, those of
    /// like length together, so a row does not depend on who encodes it.
    ///
    /// - Parameters:
    ///   - tokensPerBatch: how many tokens are encoded at a time; one sequence may have more.
    ///   - progress: called after each batch with the number of sequences done; throwing from it
    ///     stops the work.
    /// - Throws: what `progress` throws.
    public func vectors(
        of tokens: TokenColumn, tokensPerBatch: Int = 4096,
        progress: (Int) throws -> Void = { _ in }
    ) throws -> Tensor {
        let batches = EncodingBatches(of: tokens, tokensPerBatch: tokensPerBatch)
        let vectors = batches.emptyVectors(of: self)
        var done = 0
        for number in 0..<batches.count {
            done += batches.encode(number, with: self, into: vectors)
            try progress(done)
        }
        return vectors
    }
}

/// Sequences in batches of like length.
struct EncodingBatches: Sendable {
    private let tokens: TokenColumn
    /// The sequences, shortest first.
    private let order: [Int]
    /// Of `order`.
    private let ranges: [Range<Int>]

    init(of tokens: TokenColumn, tokensPerBatch: Int) {
        self.tokens = tokens
        let lengths = (0..<tokens.count).map { tokens.length(of: PassageID($0)) }
        order = lengths.indices.sorted { (lengths[$0], $0) < (lengths[$1], $1) }
        var ranges: [Range<Int>] = []
        while case let next = ranges.last?.upperBound ?? 0, next < order.count {
            let size = max(1, tokensPerBatch / max(1, lengths[order[next]]))
            ranges.append(next..<min(next + size, order.count))
        }
        self.ranges = ranges
    }

    var count: Int { ranges.count }

    /// `[sequences, dimension]`, to be filled by `encode`.
    func emptyVectors(of encoder: any TextEncoder) -> Tensor {
        Tensor(shape: [tokens.count, encoder.dimension]) { _ in }
    }

    /// Encodes a batch in evaluation mode without a tape.
    ///
    /// - Parameter vectors: `[sequences, dimension]`, where its rows are written; several threads may
    ///   write those of different batches.
    /// - Returns: how many sequences the batch has.
    func encode(_ number: Int, with encoder: any TextEncoder, into vectors: Tensor) -> Int {
        let members = order[ranges[number]]
        let rows = ForwardContext.$current.withValue(.inference) {
            encoder(TokenBatch(members.map { tokens.ids(of: PassageID($0)) }))
        }
        let dimension = vectors.dim(1)
        for (row, place) in members.enumerated() {
            (vectors.writablePointer + place * dimension)
                .update(from: rows.pointer + row * dimension, count: dimension)
        }
        return members.count
    }
}
