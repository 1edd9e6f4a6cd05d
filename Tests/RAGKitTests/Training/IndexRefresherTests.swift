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
            EventHandler { event in
                guard case .refreshed = event else { return }
                let difference = try vectors(live.version) - present(model)
                errors.append(difference.elements.map { abs($0) }.max() ?? 0)
            },
        ]
        _ = try await trainer.fit()
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
        let again = try await refresher.refreshIfDue(
            step: 7, isLast: true, encoder: encoder, tokenizer: tokenizer)
        #expect(again == nil)
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
            _ = try await refresher.refreshIfDue(
                step: 2, isLast: false, encoder: encoder, tokenizer: tokenizer)
        }
        #expect(error?.description.contains("step 2") == true)
        #expect(live.version.number == 1 && live.version.step == 1)
        expectIdentical(vectors(live.version), good)
        if let store { #expect(try store.versions() == [1] && store.current() == 1) }
        parameter.update(value)
        let outcome = try await refresher.refreshIfDue(
            step: 2, isLast: false, encoder: encoder, tokenizer: tokenizer)
        #expect(report(outcome)?.version == 2 && live.version.step == 2)
    }

    private func report(_ outcome: RefreshOutcome?) -> RefreshReport? {
        if case .done(let report) = outcome { report } else { nil }
    }

    /// Asks until something comes of a refresh in the background, as steps would.
    private func outcome(
        _ refresher: IndexRefresher, _ model: RagModel, from step: Int
    ) async throws -> RefreshOutcome {
        let (encoder, tokenizer) = try #require(try model.contextParts())
        for later in 0..<100_000 {
            if let outcome = try await refresher.refreshIfDue(
                step: step + later, isLast: false, encoder: encoder, tokenizer: tokenizer)
            {
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
        let (encoder, tokenizer) = try #require(try model.contextParts())
        let gate = Gate()
        model.retriever = nil
        let slow = SlowRetriever(inner: live, gate: gate)
        let refresher = try #require(
            try IndexRefresher(slow, schedule: .background(every: 1_000_000), store: store))
        let expected = try present(model)
        func refresh(_ step: Int, isLast: Bool = false) async throws -> RefreshOutcome? {
            try await refresher.refreshIfDue(
                step: step, isLast: isLast, encoder: encoder, tokenizer: tokenizer)
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
        let (encoder, tokenizer) = try #require(try model.contextParts())
        let refresher = try #require(
            try IndexRefresher(live, schedule: .background(every: 1000)))
        let parameter = try #require(encoder.parameters().last)
        let value = parameter.value
        parameter.update(.full(parameter.shape, .nan))
        let begun = try await refresher.refreshIfDue(
            step: 1000, isLast: false, encoder: encoder, tokenizer: tokenizer)
        #expect(begun == nil)
        parameter.update(value)
        let failed = try await outcome(refresher, model, from: 1001)
        guard case .failed(1000, let reason) = failed else {
            Issue.record("\(failed)")
            return
        }
        #expect(reason.contains("step 1000"))
        #expect(live.version.number == 0)
        let again = try await outcome(refresher, model, from: 2000)
        #expect(report(again)?.version == 1 && report(again)?.step == 2000)
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
