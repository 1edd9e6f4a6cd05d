import Foundation
import Testing

@testable import RAGKit

/// Cancels the training that tells of a refresh.
private final class CancelsRefreshes: TrainerCallback {
    func handle(_ event: TrainingEvent) {
        if case .progress = event { withUnsafeCurrentTask { $0?.cancel() } }
    }
}

extension IndexRefresher {
    /// What comes of a step but how far it is.
    func outcome(
        of step: Int, isLast: Bool = false, _ model: RagModel
    ) async throws -> TrainingEvent? {
        let (encoder, tokenizer) = try #require(try model.contextParts())
        var outcome: TrainingEvent?
        try await refreshIfDue(
            step: step, isLast: isLast, encoder: encoder, tokenizer: tokenizer
        ) {
            if case .progress = $0 { return }
            #expect(outcome == nil)
            outcome = $0
        }
        return outcome
    }
}

@Suite struct IndexRefresherTests {
    /// The vectors of all passages by the encoder's present weights, in evaluation mode.
    func present(_ model: RagModel) throws -> Tensor {
        let (encoder, tokenizer) = try #require(try model.contextParts())
        return try PassageEncoder(tokenizer: tokenizer)
            .encode(KnowledgeBase(passages: TinyRag.passages), with: encoder)
    }

    func retriever(_ model: RagModel) throws -> DenseRetriever {
        try #require(model.retriever as? DenseRetriever)
    }

    func vectors(_ version: IndexVersion) -> Tensor {
        version.index.vectors(of: (0..<version.index.count).map { PassageID($0) })
    }

    /// At multiples of optimizer steps (not of micro-batches) and at the end, never twice.
    @Test(arguments: [(2, 5, [2, 4, 5]), (2, 4, [2, 4]), (3, 2, [2]), (1, 2, [1, 2])])
    func steps(every: Int, total: Int, expected: [Int]) async throws {
        let model = try TinyRag.model(dropout: 0.2)
        let live = try retriever(model)
        let task = try RagTrainingTask(model, refresh: .blocking(every: every))
        let trainer = try Trainer(
            task, examples: TinyRag.examples,
            arguments: .plain {
                $0.learningRate = 0.01
                $0.trainBatchSize = 1
                $0.gradientAccumulationSteps = 2
                $0.maxSteps = total
            })
        let list = EventList()
        var errors: [Float] = []
        let before = live.version
        trainer.callbacks = [
            list,
            Listener { event in
                guard case .scalars = event else { return }
                let difference = try vectors(live.version) - present(model)
                errors.append(difference.elements.map { abs($0) }.max() ?? 0)
            },
        ]
        let scalars = try await trainer.fit().scalars
        let refreshes = try #require(task.refresher).reports
        #expect(scalars == list.refreshes && scalars == refreshes.map(\.scalars))
        #expect(scalars.map { $0.values["index_version"] } == refreshes.map { Double($0.version) })
        #expect(refreshes.map(\.step) == expected)
        #expect(refreshes.map(\.version) == Array(1...expected.count))
        #expect(errors.count == expected.count)
        #expect(errors.allSatisfy { $0 < 1e-4 }, "present weights, without dropout: \(errors)")
        #expect(live.version.step == total && live.version.number == expected.count)
        #expect(before.number == 0 && refreshes.allSatisfy { $0.passages == 6 })
    }

    @Test func neverLeavesTheIndexAlone() async throws {
        let model = try TinyRag.model()
        let task = try RagTrainingTask(model, refresh: .never)
        let trainer = try Trainer(
            task, examples: TinyRag.examples, arguments: .plain { $0.maxSteps = 2 })
        let list = EventList()
        trainer.callbacks = [list]
        _ = try await trainer.fit()
        #expect(task.refresher == nil && list.refreshes.isEmpty)
        expectIdentical(vectors(try retriever(model).version), TinyRag.indexVectors())
    }

    /// The index is made in evaluation mode also from inside a training scope, and keeps its
    /// vectors when the live encoder goes on.
    @Test func theIndexIsASnapshot() async throws {
        let model = try TinyRag.model(dropout: 0.4)
        let live = try retriever(model)
        let (encoder, tokenizer) = try #require(try model.contextParts())
        let refresher = try #require(
            try IndexRefresher(model.retriever, schedule: .blocking(every: 1)))
        let expected = try present(model)
        let report = try ForwardContext.$scoped.withValue(
            ForwardContext(isTraining: true, seed: 1)
        ) { try refresher.refresh(step: 7, encoder: encoder, tokenizer: tokenizer) }
        expectClose(vectors(live.version), expected, relative: 1e-5)
        let made = vectors(live.version)
        #expect(report.step == 7 && report.version == 1 && live.version.step == 7)

        let old = TinyRag.indexVectors()
        let moved = zip(expected.doubles, old.doubles).reduce(0) { $0 + pow($1.0 - $1.1, 2) }
        expectClose(report.drift, (moved / dot(old, old)).squareRoot(), relative: 1e-5)

        for parameter in encoder.parameters() { parameter.update(parameter.value * 2) }
        expectIdentical(vectors(live.version), made)
        #expect(try present(model).elements != expected.elements)
        // The same step again is not due; without a change there is no drift.
        #expect(try await refresher.outcome(of: 7, isLast: true, model) == nil)
        _ = try refresher.refresh(step: 8, encoder: encoder, tokenizer: tokenizer)
        let still = try refresher.refresh(step: 9, encoder: encoder, tokenizer: tokenizer)
        #expect(still.drift < 1e-5 && still.version == 3)
    }

    /// Searches use the new index at once.
    @Test func searchesFollow() async throws {
        let model = try TinyRag.model()
        let query = model.questionEncoder(try model.questionTokens(["Why tides?"]))
        let (encoder, tokenizer) = try #require(try model.contextParts())
        let refresher = try #require(
            try IndexRefresher(model.retriever, schedule: .blocking(every: 1)))
        _ = try refresher.refresh(step: 1, encoder: encoder, tokenizer: tokenizer)
        let found = try await model.retrieve(["Why tides?"], vectors: query, count: 6).passages[0]
        let expected = try present(model)
        for passage in found {
            let id = passage.passage.id.rawValue
            expectClose(
                Double(passage.score), dot(query, expected.slice(id..<id + 1)), relative: 1e-4)
        }
    }

    @Test func versionsInAStore() async throws {
        let place = try TemporaryDirectory()
        let model = try TinyRag.model()
        let store = try IndexStore(directory: place.file("index"))
        let task = try RagTrainingTask(model, refresh: .blocking(every: 2), store: store)
        let list = EventList()
        let trainer = try Trainer(
            task, examples: TinyRag.examples,
            arguments: .plain {
                $0.learningRate = 0.01
                $0.maxSteps = 5
            })
        trainer.callbacks = [list]
        _ = try await trainer.fit()
        #expect(try store.versions() == [1, 2, 3])
        #expect(try store.current() == 3)
        #expect(list.refreshes.map { $0.values["index_version"] } == [1, 2, 3])
        let current = try text(place.file("index/CURRENT"))
        #expect(current.contains("000003"))
        let (encoder, tokenizer) = try #require(try model.contextParts())
        for (number, step) in [(1, 2), (2, 4), (3, 5)] {
            let stored = try store.open(version: number)
            try store.verify(version: number)
            #expect(stored.number == number && stored.step == step && stored.kind == "flat")
            #expect(stored.index.count == 6 && stored.index.dimension == 6)
            #expect(stored.origin.tokenizer == tokenizer.fingerprint)
            #expect((stored.origin.encoder == encoder.fingerprint) == (number == 3))
            #expect(stored.origin.precision == .float32 && stored.origin.knowledgeBase.isEmpty)
            if number == 3 {
                expectClose(vectors(stored), try present(model), relative: 1e-5)
                expectIdentical(vectors(stored), vectors(try retriever(model).version))
            }
        }
        // A later run goes on counting.
        let next = try #require(
            try IndexRefresher(model.retriever, schedule: .blocking(every: 1), store: store))
        #expect(try next.refresh(step: 1, encoder: encoder, tokenizer: tokenizer).version == 4)
    }

    private func text(_ url: URL) throws -> String {
        try String(contentsOf: url, encoding: .utf8)
    }

    /// A refresh that fails leaves the old index in use, and may be tried again.
    @Test(arguments: [false, true])
    func failure(withStore: Bool) async throws {
        let place = try TemporaryDirectory()
        let model = try TinyRag.model()
        let live = try retriever(model)
        let store = withStore ? try IndexStore(directory: place.url) : nil
        let (encoder, tokenizer) = try #require(try model.contextParts())
        let refresher = try #require(
            try IndexRefresher(model.retriever, schedule: .blocking(every: 1), store: store))
        _ = try refresher.refresh(step: 1, encoder: encoder, tokenizer: tokenizer)
        let good = vectors(live.version)
        let parameter = try #require(encoder.parameters().last)
        let value = parameter.value
        parameter.update(.full(parameter.shape, .nan))
        let error = await #expect(throws: TrainingError.self) {
            _ = try await refresher.outcome(of: 2, model)
        }
        #expect(error?.description.contains("step 2") == true)
        #expect(live.version.number == 1 && live.version.step == 1)
        expectIdentical(vectors(live.version), good)
        if let store {
            #expect(try store.versions() == [1] && store.current() == 1)
            let names = try FileManager.default.contentsOfDirectory(
                atPath: place.file("versions").path)
            #expect(names == ["000001"], "the one that failed left nothing")
        }
        parameter.update(value)
        let outcome = try await refresher.outcome(of: 2, model)
        #expect(scalars(outcome)?.values["index_version"] == 2 && live.version.step == 2)
    }

    func scalars(_ outcome: TrainingEvent?) -> TrainingScalars? {
        if case .scalars(let scalars) = outcome { scalars } else { nil }
    }

    /// Cancelling ends a refresh after a batch; the model is saved, the old index is still in use.
    @MainActor @Test func cancellingDuringARefreshSaves() async throws {
        let place = try TemporaryDirectory()
        let model = try TinyRag.model()
        let live = try retriever(model)
        let trainer = try Trainer(
            try RagTrainingTask(model, refresh: .blocking(every: 2)), examples: TinyRag.examples,
            arguments: .plain {
                $0.maxSteps = 6
                $0.outputDir = place.url
            })
        trainer.callbacks = [CancelsRefreshes()]
        let run = Task { @MainActor in try await trainer.fit().steps }
        await #expect(throws: CancellationError.self) { _ = try await run.value }
        #expect(trainer.step == 2 && live.version.number == 0)
        #expect(FileManager.default.fileExists(atPath: place.file("last").path))
    }

    /// The store's folder is gone: nothing is published in memory either.
    @Test func aStoreThatCannotBeWritten() throws {
        let place = try TemporaryDirectory()
        let model = try TinyRag.model()
        let live = try retriever(model)
        let store = try IndexStore(directory: place.file("index"))
        let (encoder, tokenizer) = try #require(try model.contextParts())
        let refresher = try #require(
            try IndexRefresher(model.retriever, schedule: .blocking(every: 1), store: store))
        try FileManager.default.removeItem(at: place.file("index"))
        #expect(throws: (any Error).self) {
            _ = try refresher.refresh(step: 1, encoder: encoder, tokenizer: tokenizer)
        }
        #expect(live.version.number == 0)
        expectIdentical(vectors(live.version), TinyRag.indexVectors())
    }

    /// The same weights have the same name in every copy; any other bit has another.
    @Test func fingerprints() throws {
        let encoder = TinyRag.encoder(.context, vocabulary: 30, seed: 1)
        let name = encoder.fingerprint
        #expect(encoder.snapshot().fingerprint == name)
        #expect(TinyRag.encoder(.context, vocabulary: 30, seed: 1).fingerprint == name)
        let parameter = encoder.parameters()[3]
        var elements = parameter.value.elements
        elements[0] = elements[0].nextUp
        parameter.update(Tensor(elements, shape: parameter.shape))
        #expect(encoder.fingerprint != name)
    }
}
