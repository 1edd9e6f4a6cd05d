import RAGKit

/// Teaches a reader made from nothing to copy hidden words from a passage that holds them.
///
/// At first texts are lists of random words, which nothing but copying can fill in; then sentences
/// with the passage they were taken from, which grows from the sentence alone to the whole. In
/// pre-training proper that passage is never read.
public final class CopyingTask: TrainingTask {
    private let reader: RealmReader
    private let input: RealmInput
    private let words: [String]
    private let steps: Int

    /// - Parameters:
    ///   - words: what the lists are made of.
    ///   - steps: of the whole training; a third of them are lists, in the next third passages grow.
    public init(_ reader: RealmReader, input: RealmInput, words: [String], steps: Int) {
        self.reader = reader
        self.input = input
        self.words = words
        self.steps = max(steps, 1)
    }

    public var model: Module { reader }

    public func prepare(_ batch: [Chunk]) async throws -> (texts: [MaskedText], read: [Passage]) {
        let context = ForwardContext.current
        var random = SeededGenerator(seed: context.seed &+ UInt64(context.step) &* 1_000_003)
        let progress = 3 * context.step / steps
        let sentences = 1 + (3 * context.step - steps) * 6 / steps
        var result: (texts: [MaskedText], read: [Passage]) = ([], [])
        for var chunk in batch {
            var passage = chunk.source
            if progress == 0, !words.isEmpty {
                chunk.text = (0..<8).map { _ in words.randomElement(using: &random) ?? "" }
                    .joined(separator: " ")
                passage.text = chunk.text
            } else {
                passage.text = around(chunk, sentences: sentences)
            }
            let hidden = chunk.text.ranges(of: /\w+/)
                .filter { _ in Int.random(in: 0..<10, using: &random) < 3 }
            guard let text = MaskedText(chunk, hiding: hidden, input: input) else { continue }
            result.texts.append(text)
            result.read.append(passage)
        }
        guard !result.texts.isEmpty else { throw RealmError.nothingToHide }
        return result
    }

    public func loss(_ prepared: (texts: [MaskedText], read: [Passage])) throws -> TrainingLoss {
        let tokens = reader.logProbabilities(prepared.texts, prepared.read, input)
        return TrainingLoss(sum: -tokens.sum(), weight: tokens.count)
    }

    /// The sentence of a chunk with so many of those that follow it, or come before.
    private func around(_ chunk: Chunk, sentences count: Int) -> String {
        let all = chunk.source.text.split(separator: ". ")
        guard count < all.count,
            let place = all.firstIndex(where: { chunk.text.hasPrefix($0) })
        else { return chunk.source.text }
        let first = min(place, all.count - count)
        return all[first..<first + count].joined(separator: ". ")
    }
}
