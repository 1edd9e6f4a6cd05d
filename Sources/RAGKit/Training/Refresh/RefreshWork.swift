import Foundation
import Synchronization

/// The work of one refresh, encoding and building, with all it needs.
///
/// `@unchecked Sendable`: the encoder is a copy that nobody else holds, whose values nobody changes.
struct RefreshWork: @unchecked Sendable {
    let step: Int
    var encoder: any TextEncoder
    let tokenizer: any Tokenizer
    let retriever: any RefreshableRetriever
    let store: IndexStore?
    let kind: any IndexKind

    func progress(_ passages: Int) -> TrainingProgress {
        TrainingProgress(
            step: step, name: "index", completed: passages, total: retriever.knowledgeBase.count)
    }

    /// Encodes and builds with the calling thread's part in the pool.
    ///
    /// - Parameter progress: Called after each batch with the number of passages done; throwing from
    ///   it stops the work.
    /// - Throws: `CancellationError` after a batch if the task was cancelled; `TrainingError`, or
    ///   what encoding, the store or `progress` throws.
    func run(progress: (Int) throws -> Void) throws -> BuiltIndex {
        let start = Date()
        let draft = try draft()
        try finite {
            try PassageEncoder(tokenizer: tokenizer)
                .encode(retriever.knowledgeBase, with: encoder, to: draft.writer) {
                    try progress($0)
                    try Task.checkCancellation()
                }
        }
        return try publish(draft, since: start)
    }

    /// Encodes by tasks that each take the next batch of a block until there is none, and builds.
    ///
    /// - Throws: As the other `run`.
    func run(tasks: Int, _ state: BackgroundRefresh.State) async throws -> BuiltIndex {
        let start = Date()
        let passages = PassageEncoder(tokenizer: tokenizer)
        let tokens = try passages.tokens(of: retriever.knowledgeBase, for: encoder)
        let draft = try draft()
        let copies = (0..<tasks).map { _ in copy() }
        for rows in EncodingBlock.rows(of: tokens.count) {
            let block = EncodingBlock(rows, of: tokens, tokensPerBatch: passages.tokensPerBatch)
            let vectors = block.emptyVectors(of: encoder)
            state.nextBatch.store(0, ordering: .relaxed)
            try await withThrowingTaskGroup(of: Void.self) { group in
                for own in copies {
                    group.addTask {
                        while case let next = state.nextBatch.add(1, ordering: .relaxed).oldValue,
                            next < block.count
                        {
                            let done = block.encode(next, with: own.encoder, into: vectors)
                            state.passages.add(done, ordering: .relaxed)
                            try Task.checkCancellation()
                        }
                    }
                }
                try await group.waitForAll()
            }
            try finite { try draft.writer.append(vectors) }
        }
        return try publish(draft, since: start)
    }

    /// The same with an encoder of its own: a module may keep something while it runs.
    private func copy() -> RefreshWork {
        var copy = self
        copy.encoder = encoder.snapshot()
        return copy
    }

    private func draft() throws -> IndexDraft {
        try IndexDraft(
            count: retriever.knowledgeBase.count, dimension: encoder.dimension, kind: kind,
            store: store)
    }

    /// Names the step where vectors are not finite.
    private func finite(_ body: () throws -> Void) throws {
        do {
            try body()
        } catch IndexError.notFinite(_, _, _) {
            throw TrainingError.notFiniteVectors(step: step)
        }
    }

    private func publish(_ draft: IndexDraft, since start: Date) throws -> BuiltIndex {
        let old = retriever.version
        let origin = IndexOrigin(
            encoder: encoder.fingerprint, tokenizer: tokenizer.fingerprint,
            precision: ForwardContext.current.precision,
            knowledgeBase: retriever.knowledgeBase.version)
        let version = try draft.publish(step: step, origin: origin, previous: old) { _ in
            try Task.checkCancellation()
        }
        return BuiltIndex(
            version: version, seconds: Date().timeIntervalSince(start),
            drift: version.index.drift(from: old.index))
    }
}

extension VectorIndex {
    /// The root mean square of the differences to the vectors of an older index over that of the old
    /// vectors, on a sample of at most `sampleSize` passages that lie evenly among all.
    ///
    /// - Returns: NaN where the two do not hold vectors of the same ids and length.
    func drift(from old: any VectorIndex, sampleSize: Int = 4096) -> Double {
        guard old.count == count, old.dimension == dimension, count > 0 else { return .nan }
        let size = min(count, sampleSize)
        let ids = (0..<size).map { id(at: $0 * count / size) }
        guard ids == (0..<size).map({ old.id(at: $0 * count / size) }) else { return .nan }
        var (moved, length) = (0.0, 0.0)
        vectors(of: ids).withUnsafeElements { new in
            old.vectors(of: ids).withUnsafeElements { before in
                for (value, other) in zip(new, before) {
                    let difference = Double(value - other)
                    moved += difference * difference
                    length += Double(other) * Double(other)
                }
            }
        }
        return (moved / max(length, .leastNormalMagnitude)).squareRoot()
    }
}
