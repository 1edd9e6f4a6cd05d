import ExampleSupport
import RAGKit

/// Teaches a generator to read one passage in one step and several at once in the next: what it is
/// asked about, and others of the batch.
///
/// A generator that only ever read the right passage has no cause to look at what a passage is about,
/// and would take answers from any of those that fusion-in-decoder gives it.
final class FusionReadingTask: TrainingTask {
    private let reading: ReadingTask
    private let fusion: FusionInDecoder
    /// The number of passages that are read beside the right one.
    private let others = 1

    init(_ reading: ReadingTask, _ fusion: FusionInDecoder) {
        self.reading = reading
        self.fusion = fusion
    }

    var model: Module { reading.model }

    func prepare(_ batch: [ReadingTask.Example]) async throws -> ReadingTask.Texts {
        try await reading.prepare(batch)
    }

    func loss(_ texts: ReadingTask.Texts) throws -> TrainingLoss {
        var titles: [String: Passage] = [:]
        for passage in texts.passages { titles[passage.title] = passage }
        guard !ForwardContext.current.step.isMultiple(of: 2), titles.count > 1 else {
            return try reading.loss(texts)
        }
        let distinct = titles.values.sorted { $0.title < $1.title }
        let passages = texts.passages.map { own in
            ([own] + distinct.filter { $0.title != own.title }.prefix(others))
                .map { RetrievedPassage(passage: $0, score: 0) }
        }
        let evidence = try fusion.rag.evidence(
            texts.questions, passages: RetrievalResult(passages),
            scores: passages.map { $0.map { _ in 0 } })
        return fusion.loss(evidence, try fusion.rag.targetTokens(texts.answers))
    }
}
