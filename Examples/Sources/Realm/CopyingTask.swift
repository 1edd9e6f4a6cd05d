import RAGKit

/// Teaches a reader with random weights to copy hidden words from a passage that holds them.
///
/// A span of a sentence is exchanged for random words, in the sentence and in the passage it was
/// taken from, so that nothing but reading can fill it in. Passages grow from the sentence alone to
/// the whole: from the first a model of this size learns to copy in hundreds of steps, from the whole
/// it would not begin to. In pre-training proper a text's own passage is never read.
public final class CopyingTask: TrainingTask {
    private let reader: RealmReader
    private let input: RealmInput
    private let words: [String]
    private let finders: [any SpanFinder]
    private let steps: Int

    /// - Parameters:
    ///   - words: The words that take the place of spans; at least one.
    ///   - finders: Find the spans; where they find none, a random word is taken.
    ///   - steps: The number of steps of the whole training; two fifths of them read a sentence alone.
    public init(
        _ reader: RealmReader, input: RealmInput, words: [String], finders: [any SpanFinder],
        steps: Int
    ) {
        precondition(!words.isEmpty, "CopyingTask: no words to put in place of others")
        self.reader = reader
        self.input = input
        self.words = words
        self.finders = finders
        self.steps = max(steps, 1)
    }

    public var model: Module { reader }

    public func prepare(_ batch: [Chunk]) async throws -> (texts: [MaskedText], read: [Passage]) {
        let context = ForwardContext.current
        var random = SeededGenerator(seed: context.seed &+ UInt64(context.step) &* 1_000_003)
        let sentences = 1 + max(0, 10 * context.step / steps - 3)
        let made = batch.compactMap { read($0, among: sentences, using: &random) }
        guard !made.isEmpty else { throw RealmError.nothingToHide }
        return (made.map(\.text), made.map(\.passage))
    }

    /// A chunk with a span hidden, and what is read to fill it in.
    private func read(
        _ chunk: Chunk, among sentences: Int, using random: inout SeededGenerator
    ) -> (text: MaskedText, passage: Passage)? {
        let salient = finders.flatMap { $0.spans(in: chunk.text) }
        // Some plain words as well, so that it is learnt to look at the place.
        let isSalient = !salient.isEmpty && Int.random(in: 0..<10, using: &random) < 7
        let spans = isSalient ? salient : chunk.text.ranges(of: /\w+/)
        guard let span = spans.randomElement(using: &random) else { return nil }
        if Int.random(in: 0..<5, using: &random) == 0 {
            return MaskedText(chunk, hiding: [span], input: input).map { ($0, .null) }
        }
        let new = (0..<Int.random(in: 1...2, using: &random))
            .map { _ in words.randomElement(using: &random) ?? "" }.joined(separator: " ")
        var changed = chunk
        changed.text.replaceSubrange(span, with: new)
        let first = changed.text.index(
            changed.text.startIndex, offsetBy: chunk.text[..<span.lowerBound].count)
        let hidden = first..<changed.text.index(first, offsetBy: new.count)
        var all = Chunk.sentences(of: [chunk.source]).map(\.text)
        guard let place = all.firstIndex(of: chunk.text),
            let text = MaskedText(changed, hiding: [hidden], input: input)
        else { return nil }
        all[place] = changed.text
        let start = Int.random(
            in: max(0, place - sentences + 1)...max(0, min(place, all.count - sentences)),
            using: &random)
        var passage = chunk.source
        passage.text = all[start...].prefix(sentences).joined(separator: " ")
        return (text, passage)
    }

    public func loss(_ prepared: (texts: [MaskedText], read: [Passage])) throws -> TrainingLoss {
        let tokens = reader.logProbabilities(prepared.texts, prepared.read, input)
        return TrainingLoss(sum: -tokens.sum(), weight: tokens.count)
    }
}
