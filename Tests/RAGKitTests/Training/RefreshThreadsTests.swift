import Foundation
import Synchronization
import Testing

@testable import RAGKit

/// Where batches wait until so many are encoded at once; notes which encoders came.
private final class Meeting: Sendable {
    private let size: Int
    private let state = Mutex<(inside: Int, most: Int, encoders: Set<ObjectIdentifier>)>((0, 0, []))
    var most: Int { state.withLock(\.most) }
    var encoders: Set<ObjectIdentifier> { state.withLock(\.encoders) }

    init(of size: Int) { self.size = size }

    func attend(_ encoder: AnyObject) {
        state.withLock {
            $0.inside += 1
            $0.most = max($0.most, $0.inside)
            $0.encoders.insert(ObjectIdentifier(encoder))
        }
        let deadline = Date().addingTimeInterval(20)
        while most < size, Date() < deadline { usleep(500) }
        state.withLock { $0.inside -= 1 }
    }
}

/// A sequence's vector is its length, the sum of its ids, and its weight.
private final class MeetingEncoder: Module, TextEncoder {
    let configuration: Meeting
    let weight = Parameter([1], .zeros)
    var vocabularySize: Int { .max }
    var dimension: Int { 3 }
    var maxTokens: Int? { 32 }

    init(configuration: Meeting) {
        self.configuration = configuration
        super.init()
    }

    func callAsFunction(_ batch: TokenBatch) -> Tensor {
        configuration.attend(self)
        let rows = (0..<batch.count).map { row in
            let ids = batch.ids[batch.offsets[row]..<batch.offsets[row + 1]]
            return [Float(ids.count), Float(ids.reduce(0, +)), weight.value.elements[0]]
        }
        return Tensor(rows.flatMap { $0 }, shape: [batch.count, 3])
    }
}

@Suite struct RefreshThreadsTests {
    private static let executor = OwnThreadExecutor(
        "RAGKit refresh of a test", threads: 3, isInBackground: true)

    /// Passages enough for a dozen batches.
    private static let passages = (0..<2000).map {
        Passage(
            id: PassageID($0), title: "\($0 % 7)",
            text: Array(repeating: TinyRag.passages[$0 % 6].text, count: 1 + $0 % 3)
                .joined(separator: " "))
    }

    /// Batches are shared out among the executor's threads, each with an encoder of its own, and give
    /// the same vectors as one after the other; training's later changes do not reach them.
    @Test func batchesAtOnce() async throws {
        let live = try DenseRetriever(
            KnowledgeBase(passages: Self.passages), vectors: .zeros([Self.passages.count, 3]))
        let meeting = Meeting(of: 3)
        let encoder = MeetingEncoder(configuration: meeting)
        encoder.weight.update(.full([1], 5))
        let refresher = try #require(
            try IndexRefresher(live, schedule: .background(every: 1_000_000)))
        refresher.backgroundExecutor = Self.executor
        let tokenizer = try TinyRag.tokenizer("question_encoder_tokenizer")
        var told: [TrainingScalars] = []
        for step in 1_000_000..<1_100_000 where told.isEmpty {
            try await refresher.refreshIfDue(
                step: step, isLast: false, encoder: encoder, tokenizer: tokenizer
            ) {
                if case .scalars(let scalars) = $0 { told.append(scalars) }
            }
            encoder.weight.update(.full([1], 7))
            try await Task.sleep(for: .milliseconds(1))
        }
        #expect(told.first?.step == 1_000_000)
        #expect(told.first?.values["passages"] == Double(Self.passages.count))
        #expect(meeting.most == 3)
        #expect(meeting.encoders.count == 3)
        #expect(!meeting.encoders.contains(ObjectIdentifier(encoder)))

        let alone = MeetingEncoder(configuration: Meeting(of: 1))
        alone.weight.update(.full([1], 5))
        let expected = try PassageEncoder(tokenizer: tokenizer).encode(
            live.knowledgeBase, with: alone)
        #expect(Set(expected.elements).count > 10)
        let index = try #require(live.version.index as? FlatIndex)
        expectIdentical(index.rows.vectors, expected)
    }
}
