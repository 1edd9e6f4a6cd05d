import Foundation
import RAGKitBLAS
import Synchronization

/// An index that was made, but is not in use yet.
struct MadeIndex: Sendable {
    var index: FlatIndex
    var step: Int
    /// Its number in the store.
    var number: Int?
    var seconds: Double
    var drift: Double
}

/// A refresh that runs while training goes on.
struct BackgroundRefresh {
    let task: Task<MadeIndex, any Error>
    private let work: RefreshWork
    private let state = State()

    /// What its threads and the training thread see.
    fileprivate final class State: Sendable {
        let isReady = Atomic(false)
        let nextBatch = Atomic(0)
        let passages = Atomic(0)
    }

    var step: Int { work.step }
    /// Whether the task has ended, so that waiting for it takes no time.
    var isReady: Bool { state.isReady.load(ordering: .acquiring) }
    var progress: RefreshProgress { work.progress(state.passages.load(ordering: .relaxed)) }

    init(_ work: RefreshWork, on executor: OwnThreadExecutor) {
        self.work = work
        let precision = ForwardContext.current.precision
        task = Task.detached(executorPreference: executor) { [state] in
            defer { state.isReady.store(true, ordering: .releasing) }
            return try await withPrecision(precision) {
                try await work.run(tasks: executor.threads, state)
            }
        }
    }
}

/// Encoding and storing, with all it needs.
///
/// `@unchecked Sendable`: the encoder is a copy that nobody else holds, whose values nobody changes.
struct RefreshWork: @unchecked Sendable {
    let step: Int
    var encoder: any TextEncoder
    let tokenizer: any Tokenizer
    let retriever: any RefreshableRetriever
    let store: IndexVersionStore?

    func progress(_ passages: Int) -> RefreshProgress {
        RefreshProgress(
            step: step, passages: passages, totalPassages: retriever.version.index.count)
    }

    /// With the calling thread's part in the pool.
    ///
    /// - Parameter progress: called after each batch with the number of passages done; throwing from
    ///   it stops the work.
    /// - Throws: `CancellationError` after a batch if the task was cancelled; `TrainingError`, or
    ///   what encoding, the store or `progress` throws.
    func run(progress: (Int) throws -> Void) throws -> MadeIndex {
        let start = Date()
        let vectors = try PassageEncoder(tokenizer: tokenizer)
            .encode(retriever.knowledgeBase, with: encoder) {
                try progress($0)
                try Task.checkCancellation()
            }
        return try index(of: vectors, since: start)
    }

    /// By tasks that each take the next batch until there is none.
    ///
    /// - Throws: as the other `run`.
    fileprivate func run(tasks: Int, _ state: BackgroundRefresh.State) async throws -> MadeIndex {
        let start = Date()
        let passages = PassageEncoder(tokenizer: tokenizer)
        let batches = EncodingBatches(
            of: try passages.tokens(of: retriever.knowledgeBase, for: encoder),
            tokensPerBatch: passages.tokensPerBatch)
        let vectors = batches.emptyVectors(of: encoder)
        try await withThrowingTaskGroup(of: Void.self) { group in
            for _ in 0..<tasks {
                let own = copy()
                group.addTask {
                    while case let next = state.nextBatch.add(1, ordering: .relaxed).oldValue,
                        next < batches.count
                    {
                        let done = batches.encode(next, with: own.encoder, into: vectors)
                        state.passages.add(done, ordering: .relaxed)
                        try Task.checkCancellation()
                    }
                }
            }
            try await group.waitForAll()
        }
        return try index(of: vectors, since: start)
    }

    /// The same with an encoder of its own: a module may keep something while it runs.
    private func copy() -> RefreshWork {
        var copy = self
        copy.encoder = encoder.snapshot()
        return copy
    }

    private func index(of vectors: Tensor, since start: Date) throws -> MadeIndex {
        guard
            vectors.withUnsafeElements({ ragkit_sum_of_squares($0.count, $0.baseAddress) })
                .isFinite
        else { throw TrainingError.notFiniteVectors(step: step) }
        let number = try store.map { store in
            let manifest = IndexManifest(
                encoderFingerprint: encoder.fingerprint,
                tokenizerFingerprint: tokenizer.fingerprint, step: step, count: vectors.dim(0),
                dimension: vectors.dim(1))
            return try vectors.withUnsafeElements {
                try store.publish(vectors: $0, manifest: manifest)
            }
        }
        let drift = drift(from: retriever.version.index, to: vectors)
        return MadeIndex(
            index: FlatIndex(vectors), step: step, number: number,
            seconds: Date().timeIntervalSince(start), drift: drift)
    }

    private func drift(from old: any VectorIndex, to vectors: Tensor) -> Double {
        guard old.count == vectors.dim(0), old.dimension == vectors.dim(1) else { return .nan }
        var (moved, size) = (0.0, 0.0)
        vectors.withUnsafeElements { new in
            for row in 0..<old.count {
                old.vector(PassageID(row)).withUnsafeElements { before in
                    for (column, value) in before.enumerated() {
                        let difference = Double(new[row * old.dimension + column] - value)
                        moved += difference * difference
                        size += Double(value) * Double(value)
                    }
                }
            }
        }
        return (moved / max(size, .leastNormalMagnitude)).squareRoot()
    }
}
