import Foundation
import Synchronization
import Testing

@testable import RAGKit

/// Holds whoever passes until it is opened, and notes on which threads they came.
private final class Gate: Sendable {
    private let state = Mutex<(isOpen: Bool, threads: Set<String>)>((false, []))
    var threads: Set<String> { state.withLock { $0.threads } }
    func open() { state.withLock { $0.isOpen = true } }
    func pass() {
        state.withLock { _ = $0.threads.insert(Thread.current.name ?? "") }
        while !state.withLock({ $0.isOpen }) { usleep(500) }
    }
}

/// A retriever whose knowledge base is handed out behind a gate.
private struct SlowRetriever: RefreshableRetriever {
    let inner: DenseRetriever
    let gate: Gate
    var needs: QueryNeeds { inner.needs }
    var version: IndexVersion { inner.version }
    var knowledgeBase: KnowledgeBase {
        gate.pass()
        return inner.knowledgeBase
    }
    func publish(_ version: IndexVersion) throws { try inner.publish(version) }
    func passages(
        for queries: [RetrievalQuery], count: Int
    ) async throws -> [[RetrievedPassage]] {
        try await inner.passages(for: queries, count: count)
    }
}

/// Cancels the training that tells of a refresh.
private final class CancelsRefreshes: TrainerCallback {
    func handle(_ event: TrainingEvent) {
        if case .refreshing = event { withUnsafeCurrentTask { $0?.cancel() } }
    }
}

extension IndexRefresher {
    /// What comes of a step but how far it is.
    fileprivate func outcome(
        of step: Int, isLast: Bool = false, _ model: RagModel
    ) async throws -> TrainingEvent? {
        let (encoder, tokenizer) = try #require(try model.contextParts())
        var outcome: TrainingEvent?
        try await refreshIfDue(
            step: step, isLast: isLast, encoder: encoder, tokenizer: tokenizer
        ) {
            if case .refreshing = $0 { return }
            #expect(outcome == nil)
            outcome = $0
        }
        return outcome
    }
}

@Suite struct IndexRefresherTests {
    /// The vectors of all passages by the encoder's present weights, in evaluation mode.
    private func present(_ model: RagModel) throws -> Tensor {
        let (encoder, tokenizer) = try #require(try model.contextParts())
        return try PassageEncoder(tokenizer: tokenizer)
            .encode(KnowledgeBase(passages: TinyRag.passages), with: encoder)
    }

    private func retriever(_ model: RagModel) throws -> DenseRetriever {
        try #require(model.retriever as? DenseRetriever)
    }

    private func vectors(_ version: IndexVersion) -> Tensor {
        .concatenated(
            (0..<version.index.count).map {
                version.index.vector(PassageID($0)).reshaped([1, version.index.dimension])
            })
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
                guard case .refreshed = event else { return }
                let difference = try vectors(live.version) - present(model)
                errors.append(difference.elements.map { abs($0) }.max() ?? 0)
            },
        ]
        #expect(try await trainer.fit().refreshes == list.refreshes)
        #expect(list.refreshes.map(\.step) == expected)
        #expect(list.refreshes.map(\.version) == Array(1...expected.count))
        #expect(errors.count == expected.count)
        #expect(errors.allSatisfy { $0 < 1e-4 }, "present weights, without dropout: \(errors)")
        #expect(live.version.step == total && live.version.number == expected.count)
        #expect(before.number == 0 && list.refreshes.allSatisfy { $0.passages == 6 })
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
        let report = try ForwardContext.$current.withValue(
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
        let found = try await model.retrieve(["Why tides?"], vectors: query, count: 6)[0]
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
        let store = try IndexVersionStore(directory: place.file("index"))
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
        #expect(list.refreshes.map(\.version) == [1, 2, 3])
        let current = try text(place.file("index/CURRENT"))
        #expect(current.contains("000003"))
        let (encoder, tokenizer) = try #require(try model.contextParts())
        for (number, step) in [(1, 2), (2, 4), (3, 5)] {
            let stored = try store.open(version: number)
            try stored.verify()
            #expect(stored.manifest.step == step)
            #expect(stored.manifest.count == 6 && stored.manifest.dimension == 6)
            #expect(stored.manifest.tokenizerFingerprint == tokenizer.fingerprint)
            #expect((stored.manifest.encoderFingerprint == encoder.fingerprint) == (number == 3))
            if number == 3 {
                expectClose(
                    stored.vectors.map { Double($0) }, try present(model).doubles, relative: 1e-5)
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
        let store = withStore ? try IndexVersionStore(directory: place.url) : nil
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
        if let store { #expect(try store.versions() == [1] && store.current() == 1) }
        parameter.update(value)
        let outcome = try await refresher.outcome(of: 2, model)
        #expect(report(outcome)?.version == 2 && live.version.step == 2)
    }

    private func report(_ outcome: TrainingEvent?) -> RefreshReport? {
        if case .refreshed(let report) = outcome { report } else { nil }
    }

    /// Asks until something comes of a refresh in the background, as steps would.
    private func outcome(
        _ refresher: IndexRefresher, _ model: RagModel, from step: Int
    ) async throws -> TrainingEvent {
        for later in 0..<100_000 {
            if let outcome = try await refresher.outcome(of: step + later, model) {
                return outcome
            }
            try await Task.sleep(for: .milliseconds(1))
        }
        throw TrainingError.noExamples
    }

    /// The index in use has the vectors of the weights at the step that began it, although the encoder
    /// went on; it is made by the refresh thread, and the last one while the caller waits.
    @Test func inTheBackground() async throws {
        let place = try TemporaryDirectory()
        let model = try TinyRag.model(dropout: 0.3)
        let live = try retriever(model)
        let store = try IndexVersionStore(directory: place.url)
        let (encoder, _) = try #require(try model.contextParts())
        let gate = Gate()
        model.retriever = nil
        let slow = SlowRetriever(inner: live, gate: gate)
        let refresher = try #require(
            try IndexRefresher(slow, schedule: .background(every: 1_000_000), store: store))
        let expected = try present(model)
        func refresh(_ step: Int, isLast: Bool = false) async throws -> TrainingEvent? {
            try await refresher.outcome(of: step, isLast: isLast, model)
        }
        #expect(try await refresh(999_999) == nil)
        #expect(try await refresh(1_000_000) == nil, "it is only begun")
        for parameter in encoder.parameters() { parameter.update(parameter.value * 2) }
        #expect(try await refresh(2_000_000) == nil, "one at a time")
        #expect(live.version.number == 0)
        expectIdentical(vectors(live.version), TinyRag.indexVectors())
        gate.open()
        let first = try await outcome(refresher, model, from: 2_000_001)
        let made = try #require(report(first))
        #expect(made.step == 1_000_000 && made.inUseFrom >= 2_000_001 && made.version == 1)
        #expect(gate.threads == ["RAGKit refresh"])
        expectClose(vectors(live.version), expected, relative: 1e-5)
        #expect(live.version.step == 1_000_000)
        #expect(try store.versions() == [1])

        #expect(try await refresh(3_000_000) == nil)
        let last = try #require(report(try await refresh(3_000_007, isLast: true)))
        #expect(last.step == 3_000_007 && last.inUseFrom == 3_000_007)
        expectClose(vectors(live.version), try present(model), relative: 1e-5)
        // Whether or not the one that was under way still got its number, the last is the current.
        #expect(try store.current() == last.version)
        #expect(try store.open(version: last.version).manifest.step == 3_000_007)
    }

    /// A refresh in the background that fails is told, the old index stays, and the next may succeed.
    @Test func failureInTheBackground() async throws {
        let model = try TinyRag.model()
        let live = try retriever(model)
        let (encoder, _) = try #require(try model.contextParts())
        let refresher = try #require(
            try IndexRefresher(live, schedule: .background(every: 1000)))
        let parameter = try #require(encoder.parameters().last)
        let value = parameter.value
        parameter.update(.full(parameter.shape, .nan))
        #expect(try await refresher.outcome(of: 1000, model) == nil)
        parameter.update(value)
        let failed = try await outcome(refresher, model, from: 1001)
        guard case .refreshFailed(1000, let reason) = failed else {
            Issue.record("\(failed)")
            return
        }
        #expect(reason.contains("step 1000"))
        #expect(live.version.number == 0)
        let again = try await outcome(refresher, model, from: 2000)
        #expect(report(again)?.version == 1 && report(again)?.step == 2000)
    }

    /// Told after each batch, and in the background at each step; a listener that throws stops what it
    /// waits for, and the old index stays.
    @Test func progress() async throws {
        struct Stop: Error {}
        let model = try TinyRag.model()
        let count = 600
        let base = KnowledgeBase(
            passages: (0..<count).map {
                var passage = TinyRag.passages[$0 % TinyRag.passages.count]
                passage.id = PassageID($0)
                return passage
            })
        let live = try DenseRetriever(base, vectors: .zeros([count, 6]))
        let (encoder, tokenizer) = try #require(try model.contextParts())
        func events(
            of refresher: IndexRefresher, step: Int, stopAfter: Int = .max
        ) async throws -> [RefreshProgress] {
            var events: [RefreshProgress] = []
            try await refresher.refreshIfDue(
                step: step, isLast: false, encoder: encoder, tokenizer: tokenizer
            ) {
                guard case .refreshing(let progress) = $0 else { return }
                events.append(progress)
                if events.count == stopAfter { throw Stop() }
            }
            return events
        }
        let refresher = try #require(
            try IndexRefresher(live, schedule: .blocking(every: 5)))
        await #expect(throws: Stop.self) {
            _ = try await events(of: refresher, step: 5, stopAfter: 2)
        }
        #expect(live.version.number == 0)
        let told = try await events(of: refresher, step: 5)
        let passages = told.map(\.passages)
        #expect(passages.count > 2 && passages == Array(Set(passages)).sorted())
        #expect(passages.last == count)
        #expect(told.allSatisfy { $0.step == 5 && $0.totalPassages == count })
        #expect(live.version.number == 1)

        let gate = Gate()
        let slow = SlowRetriever(inner: live, gate: gate)
        let behind = try #require(
            try IndexRefresher(slow, schedule: .background(every: 1_000_000)))
        #expect(try await events(of: behind, step: 1_000_000).isEmpty)
        let waiting = RefreshProgress(step: 1_000_000, passages: 0, totalPassages: count)
        #expect(try await events(of: behind, step: 1_000_001) == [waiting])
        #expect(try await events(of: behind, step: 1_000_002) == [waiting])
        gate.open()
        _ = try await outcome(behind, model, from: 1_000_003)
        #expect(live.version.number == 2)
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

    /// A whole run: the index moves on while training goes on, and agrees with the encoder at the end.
    @Test func aRunInTheBackground() async throws {
        let model = try TinyRag.model(dropout: 0.2)
        let live = try retriever(model)
        let task = try RagTrainingTask(model, refresh: .background(every: 2))
        let trainer = try Trainer(
            task, examples: TinyRag.examples,
            arguments: .plain {
                $0.learningRate = 0.01
                $0.maxSteps = 40
            })
        let list = EventList()
        trainer.callbacks = [list]
        _ = try await trainer.fit()
        let refreshes = list.refreshes
        #expect(refreshes.last?.step == 40 && refreshes.last?.inUseFrom == 40)
        #expect(refreshes.map(\.version) == Array(1...refreshes.count))
        for report in refreshes.dropLast() {
            #expect(report.step % 2 == 0 && report.inUseFrom > report.step)
        }
        expectClose(vectors(live.version), try present(model), relative: 1e-4)
    }

    /// The store's folder is gone: nothing is published in memory either.
    @Test func aStoreThatCannotBeWritten() throws {
        let place = try TemporaryDirectory()
        let model = try TinyRag.model()
        let live = try retriever(model)
        let store = try IndexVersionStore(directory: place.file("index"))
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
