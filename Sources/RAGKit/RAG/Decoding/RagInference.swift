import Foundation

/// A RAG model that nothing changes any more: any number of tasks may ask it at once.
///
///     let inference = try model.inference()
///     async let first = inference.answer(["What does helium weigh?"])
///     async let second = inference.answer(["Who hunts by night?"])
///     for try await piece in inference.stream("Why are there tides?") { print(piece.text) }
///
/// It shares the weights of the model it was made from; training that model further does not show
/// here. Calls run on threads of the library's own, so that an actor that awaits them stays free.
///
/// `@unchecked Sendable`: the model inside is a copy that nobody else holds and no code here changes.
public struct RagInference: @unchecked Sendable {
    private let model: RagModel
    /// The number format of products with weights.
    public let precision: Precision

    /// - Throws: `RagError` when only one of context encoder and its tokenizer is set.
    init(_ model: RagModel, _ precision: Precision) throws {
        self.model = try model.snapshot()
        self.precision = precision
    }

    /// Runs `body` on a thread of the library's own, in the precision asked for.
    private func run<Result>(
        _ body: @escaping () async throws -> Result
    ) async throws -> Result {
        try await onInferenceThread { try await withPrecision(precision) { try await body() } }
    }

    /// The settings of the model, as they were when this was made.
    public var configuration: RagConfiguration { model.configuration }
    /// The settings for decoding answers, unless a call says otherwise.
    public var generation: GenerationConfiguration { model.generation }

    /// Answers questions in words; parameters and errors as for `RagModel.answer`.
    public func answer(
        _ questions: [String], count: Int? = nil, passages: RetrievalResult? = nil,
        scores: [[Float]]? = nil, generation: GenerationConfiguration? = nil
    ) async throws -> [RagAnswer] {
        try await run {
            try await model.answer(
                questions, count: count, passages: passages, scores: scores,
                generation: generation)
        }
    }

    /// Generates the ids of answers; parameters, errors and result as for `RagModel.generate`.
    public func generate(
        _ questions: [String], count: Int? = nil, passages: RetrievalResult? = nil,
        scores: [[Float]]? = nil, generation: GenerationConfiguration? = nil
    ) async throws -> [[Int32]] {
        try await run {
            try await model.generate(
                questions, count: count, passages: passages, scores: scores,
                generation: generation)
        }
    }

    /// Generates answers with scores; parameters, errors and result as for `RagModel.hypotheses`.
    public func hypotheses(
        _ questions: [String], count: Int? = nil, passages: RetrievalResult? = nil,
        scores: [[Float]]? = nil, generation: GenerationConfiguration? = nil
    ) async throws -> [[Hypothesis]] {
        try await run {
            try await model.hypotheses(
                questions, count: count, passages: passages, scores: scores,
                generation: generation)
        }
    }

    /// Answers one question piece by piece; parameters and errors as for `RagModel.answer`.
    ///
    /// The texts of all pieces, one after the other, are the answer's text. A piece is sent once it
    /// cannot change any more: with one beam as soon as its tokens are chosen, with more when all of
    /// them agree. RAG-sequence compares whole candidates, so that its answer is one piece. The last
    /// piece has the answer. Ending the iteration ends the generation.
    public func stream(
        _ question: String, count: Int? = nil, passages: [RetrievedPassage]? = nil,
        scores: [Float]? = nil, generation: GenerationConfiguration? = nil
    ) -> AsyncThrowingStream<RagPiece, any Error> {
        AsyncThrowingStream { continuation in
            let task = Task {
                do {
                    try await run {
                        try await model.stream(
                            question, count: count, passages: passages, scores: scores,
                            generation: generation
                        ) { continuation.yield($0) }
                    }
                    continuation.finish()
                } catch {
                    continuation.finish(throwing: error)
                }
            }
            continuation.onTermination = { _ in task.cancel() }
        }
    }
}

/// A part of an answer that is being written.
public struct RagPiece: Sendable {
    /// The new part of the text.
    public var text: String
    /// The documents, with their shares in the answer so far as posterior.
    public var sources: [RagAnswer.Source]
    /// The whole answer, in the last piece only.
    public var answer: RagAnswer?
}

extension RagModel {
    /// A thread-safe snapshot of the model; weights are shared copy-on-write.
    ///
    /// - Parameter precision: of products with weights. `.bfloat16` and `.int8` read a half and a
    ///   quarter of the memory; they round, so that now and then another word is chosen.
    /// - Throws: `RagError` when only one of context encoder and its tokenizer is set.
    public func inference(precision: Precision = .float32) throws -> RagInference {
        try RagInference(self, precision)
    }

    /// A copy whose parts nobody else holds; values are shared until either side changes them.
    ///
    /// - Throws: `RagError` when only one of context encoder and its tokenizer is set.
    public func snapshot() throws -> RagModel {
        let context = try contextParts()
        let copy = try RagModel(
            questionEncoder: questionEncoder.snapshot(), questionTokenizer: questionTokenizer,
            generator: generator.snapshot(), generatorTokenizer: generatorTokenizer,
            retriever: retriever, configuration: configuration)
        copy.generation = generation
        if let context {
            try copy.setContextEncoder(context.encoder.snapshot())
            copy.setContextEncoderTokenizer(context.tokenizer)
        }
        return copy
    }

    /// Decodes one question and tells each new piece of its answer.
    fileprivate func stream(
        _ question: String, count: Int?, passages: [RetrievedPassage]?, scores: [Float]?,
        generation: GenerationConfiguration?, _ send: @escaping (RagPiece) -> Void
    ) async throws {
        let task = try await generationTask(
            [question], count: count, passages: passages.map { RetrievalResult([$0]) },
            scores: scores.map { [$0] })
        try withInference {
            let decoder = try decoder(task, generation ?? self.generation)
            var text = StreamedText(generatorTokenizer)
            let found = try decoder.hypotheses { progress in
                let piece = text.advance(to: progress.settled)
                guard !piece.isEmpty, let posterior = progress.posterior else { return }
                send(
                    RagPiece(
                        text: piece, sources: decoder.sources(0, posteriors: posterior[...])))
            }
            guard let answer = try decoder.answers(found).first else { return }
            send(
                RagPiece(
                    text: text.rest(of: answer.text), sources: answer.sources, answer: answer))
        }
    }
}

/// The text of ids that come one after the other, as far as later ids cannot change it.
struct StreamedText {
    private let tokenizer: any Tokenizer
    private var sent = ""

    init(_ tokenizer: any Tokenizer) { self.tokenizer = tokenizer }

    /// The new text that is settled when these are the ids so far.
    mutating func advance(to ids: [Int32]) -> String {
        let text = tokenizer.decode(ids).drop { $0.isWhitespace }
        return take(Self.settled(text))
    }

    /// The part of the whole text that is left to send.
    mutating func rest(of text: String) -> String { take(text[...]) }

    private mutating func take(_ text: Substring) -> String {
        // Bytes are compared, since a character may go on with the next piece.
        guard text.utf8.count > sent.utf8.count, text.utf8.starts(with: sent.utf8) else {
            return ""
        }
        let new = String(decoding: text.utf8.dropFirst(sent.utf8.count), as: UTF8.self)
        sent = String(text)
        return new
    }

    /// The text without an end that may still change: a character of which bytes are missing, and
    /// a space with fewer than five characters behind it, which the clean-up of punctuation may take
    /// away: "do n ' t" becomes "don't".
    private static func settled(_ text: Substring) -> Substring {
        var text = text
        while text.unicodeScalars.last == "\u{FFFD}" { text.unicodeScalars.removeLast() }
        let end = text.suffix(5)
        return end.firstIndex(of: " ").map { text[..<$0] } ?? text
    }
}
