import Synchronization

/// An index that was built, but is not in use yet.
struct BuiltIndex: Sendable {
    var version: IndexVersion
    var seconds: Double
    var drift: Double
}

/// A refresh that runs while training goes on.
struct BackgroundRefresh {
    let task: Task<BuiltIndex, any Error>
    private let work: RefreshWork
    private let state = State()

    /// The state that its threads share with the training thread.
    final class State: Sendable {
        let isReady = Atomic(false)
        /// The next batch of the block under way.
        let nextBatch = Atomic(0)
        let passages = Atomic(0)
    }

    var step: Int { work.step }
    /// True once the result can be awaited without blocking.
    var isReady: Bool { state.isReady.load(ordering: .acquiring) }
    var progress: TrainingProgress { work.progress(state.passages.load(ordering: .relaxed)) }

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
