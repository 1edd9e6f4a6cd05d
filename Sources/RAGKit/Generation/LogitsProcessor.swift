/// A rule that changes the scores of the next token, given the tokens decoded so far.
public protocol LogitsProcessor: Sendable {
    /// Changes one row's scores.
    ///
    /// - Parameters:
    ///   - scores: one for each entry of the vocabulary; -∞ forbids a token. In beam search and in
    ///     RAG-token decoding they are log-probabilities, else logits, as in the reference.
    ///   - sequence: the row's tokens so far, the start token included.
    ///   - question: the number of the row's question in the batch.
    /// - Throws: any error; it stops the generation.
    func process(
        _ scores: UnsafeMutableBufferPointer<Float>, after sequence: [Int32], question: Int
    ) throws
}

extension UnsafeMutableBufferPointer<Float> {
    /// Forbids tokens; ids outside the vocabulary are skipped.
    fileprivate func forbid(_ tokens: some Sequence<Int32>) {
        for token in tokens where indices.contains(Int(token)) { self[Int(token)] = -.infinity }
    }
}

/// Makes tokens that are already written less likely.
///
/// Source: Keskar et al. 2019, arXiv:1909.05858, section 4.1.
struct RepetitionPenalty: LogitsProcessor {
    let penalty: Float

    func process(
        _ scores: UnsafeMutableBufferPointer<Float>, after sequence: [Int32], question: Int
    ) {
        for token in Set(sequence) where scores.indices.contains(Int(token)) {
            let score = scores[Int(token)]
            scores[Int(token)] = score < 0 ? score * penalty : score / penalty
        }
    }
}

/// Forbids tokens that would complete a run of `size` tokens for a second time; the start token
/// belongs to the sequence.
struct NoRepeatNgram: LogitsProcessor {
    let size: Int

    func process(
        _ scores: UnsafeMutableBufferPointer<Float>, after sequence: [Int32], question: Int
    ) {
        guard sequence.count >= size else { return }
        let beginning = sequence.suffix(size - 1)
        for start in 0...sequence.count - size
        where sequence[start..<start + size - 1].elementsEqual(beginning) {
            scores.forbid(CollectionOfOne(sequence[start + size - 1]))
        }
    }
}

/// Forbids the last token of a run after the rest of the run was written.
struct BadWords: LogitsProcessor {
    let runs: [[Int32]]

    /// - Parameter eos: end tokens; runs of just one of them are skipped, as in the reference.
    init(_ runs: [[Int32]], eos: [Int32]) {
        self.runs = runs.filter { !($0.count == 1 && eos.contains($0[0])) }
    }

    func process(
        _ scores: UnsafeMutableBufferPointer<Float>, after sequence: [Int32], question: Int
    ) {
        // The reference skips runs that are longer than the sequence.
        for run in runs where run.count == 1 || run.count <= sequence.count {
            guard sequence.suffix(run.count - 1).elementsEqual(run.dropLast()) else { continue }
            scores.forbid(run.suffix(1))
        }
    }
}

/// Forbids the end tokens before a sequence has its shortest length.
struct MinLength: LogitsProcessor {
    let length: Int
    let eos: [Int32]

    init(_ length: Int, eos: [Int32]) {
        self.length = length
        self.eos = eos
    }

    func process(
        _ scores: UnsafeMutableBufferPointer<Float>, after sequence: [Int32], question: Int
    ) {
        if sequence.count < length { scores.forbid(eos) }
    }
}

/// Allows only the tokens that a function returns.
struct PrefixConstraint: LogitsProcessor {
    let allowed: GenerationConfiguration.AllowedTokens

    func process(
        _ scores: UnsafeMutableBufferPointer<Float>, after sequence: [Int32], question: Int
    ) throws {
        let kept = try allowed(question, sequence).filter { scores.indices.contains(Int($0)) }
            .map { (Int($0), scores[Int($0)]) }
        guard !kept.isEmpty else {
            throw GenerationError.noAllowedToken(question: question, after: sequence)
        }
        scores.update(repeating: -.infinity)
        for (token, score) in kept { scores[token] = score }
    }
}

/// Allows only one token at a certain length.
struct ForcedToken: LogitsProcessor {
    let token: Int32
    let length: Int

    init(_ token: Int32, atLength length: Int) {
        self.token = token
        self.length = length
    }

    func process(
        _ scores: UnsafeMutableBufferPointer<Float>, after sequence: [Int32], question: Int
    ) {
        guard sequence.count == length, scores.indices.contains(Int(token)) else { return }
        scores.update(repeating: -.infinity)
        scores[Int(token)] = 0
    }
}
