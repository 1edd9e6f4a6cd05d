import Foundation
import Synchronization
import Testing

@testable import RAGKit

/// Holds the refresh thread until it is opened, and notes on which threads others came too.
private final class Gate: Sendable {
    private let state = Mutex<(isOpen: Bool, threads: Set<String>)>((false, []))
    var threads: Set<String> { state.withLock { $0.threads } }
    func open() { state.withLock { $0.isOpen = true } }
    func pass() {
        let thread = Thread.current.name ?? ""
        state.withLock { _ = $0.threads.insert(thread) }
        // Training only asks how many passages there are.
        guard thread == "RAGKit refresh" else { return }
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
    func retrieve(_ queries: RetrievalQueries, count: Int) async throws -> RetrievalResult {
        try await inner.retrieve(queries, count: count)
    }
}

extension IndexRefresherTests {
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
        let store = try IndexStore(directory: place.url)
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
        let made = try #require(refresher.reports.first)
        #expect(scalars(first) == made.scalars && refresher.reports.count == 1)
        #expect(made.step == 1_000_000 && made.inUseFrom >= 2_000_001 && made.version == 1)
        #expect(gate.threads.contains("RAGKit refresh"))
        expectClose(vectors(live.version), expected, relative: 1e-5)
        #expect(live.version.step == 1_000_000)
        #expect(try store.versions() == [1])

        #expect(try await refresh(3_000_000) == nil)
        let told = scalars(try await refresh(3_000_007, isLast: true))
        let last = try #require(refresher.reports.last)
        #expect(told == last.scalars)
        #expect(last.step == 3_000_007 && last.inUseFrom == 3_000_007)
        expectClose(vectors(live.version), try present(model), relative: 1e-5)
        // Whether or not the one that was under way still got its number, the last is the current.
        #expect(try store.current() == last.version)
        #expect(try store.open(version: last.version).step == 3_000_007)
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
        guard case .failed(step: 1000, name: "refresh", reason: let reason) = failed else {
            Issue.record("\(failed)")
            return
        }
        #expect(reason.contains("step 1000"))
        #expect(live.version.number == 0)
        let again = try await outcome(refresher, model, from: 2000)
        #expect(scalars(again)?.values["index_version"] == 1 && scalars(again)?.step == 2000)
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
        ) async throws -> [TrainingProgress] {
            var events: [TrainingProgress] = []
            try await refresher.refreshIfDue(
                step: step, isLast: false, encoder: encoder, tokenizer: tokenizer
            ) {
                guard case .progress(let progress) = $0 else { return }
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
        let passages = told.map(\.completed)
        #expect(passages.count > 2 && passages == Array(Set(passages)).sorted())
        #expect(passages.last == count)
        #expect(told.allSatisfy { $0.step == 5 && $0.name == "index" && $0.total == count })
        #expect(live.version.number == 1)

        let gate = Gate()
        let slow = SlowRetriever(inner: live, gate: gate)
        let behind = try #require(
            try IndexRefresher(slow, schedule: .background(every: 1_000_000)))
        #expect(try await events(of: behind, step: 1_000_000).isEmpty)
        let waiting = TrainingProgress(
            step: 1_000_000, name: "index", completed: 0, total: count)
        #expect(try await events(of: behind, step: 1_000_001) == [waiting])
        #expect(try await events(of: behind, step: 1_000_002) == [waiting])
        gate.open()
        _ = try await outcome(behind, model, from: 1_000_003)
        #expect(live.version.number == 2)
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
        _ = try await trainer.fit()
        let refreshes = try #require(task.refresher).reports
        #expect(refreshes.last?.step == 40 && refreshes.last?.inUseFrom == 40)
        #expect(refreshes.map(\.version) == Array(1...refreshes.count))
        for report in refreshes.dropLast() {
            #expect(report.step % 2 == 0 && report.inUseFrom > report.step)
        }
        expectClose(vectors(live.version), try present(model), relative: 1e-4)
    }
}
