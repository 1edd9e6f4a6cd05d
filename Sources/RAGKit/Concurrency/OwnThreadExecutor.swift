import Foundation
import RAGKitBLAS

/// Threads for long work, so that hours of arithmetic never sit on those that the host's other tasks
/// share.
///
/// `@unchecked Sendable`: the queue is behind a condition's lock.
final class OwnThreadExecutor: TaskExecutor, @unchecked Sendable {
    static let training = OwnThreadExecutor("RAGKit training")
    /// Its work never takes the pool and gets what time training leaves. A quarter as many threads as
    /// the pool has, since each holds the activations of a batch.
    static let refresh = OwnThreadExecutor(
        "RAGKit refresh", threads: max(1, ragkit_thread_count() / 4), isInBackground: true)

    let threads: Int
    private let name: String
    private let isInBackground: Bool
    private let condition = NSCondition()
    private var jobs: [UnownedJob] = []

    /// - Parameter isInBackground: its threads have a low priority and never take the pool.
    init(_ name: String, threads: Int = 1, isInBackground: Bool = false) {
        self.name = name
        self.threads = threads
        self.isInBackground = isInBackground
        for _ in 0..<threads {
            let thread = Thread { [unowned self] in run() }
            thread.stackSize = 8 << 20
            // Held until the thread object knows its thread: on Linux a name given before is lost.
            condition.withLock { thread.start() }
        }
    }

    func enqueue(_ job: consuming ExecutorJob) {
        let unowned = UnownedJob(job)
        condition.lock()
        jobs.append(unowned)
        condition.signal()
        condition.unlock()
    }

    /// A thread's whole life: executors are never let go.
    private func run() {
        condition.withLock { Thread.current.name = name }
        if isInBackground { ragkit_work_in_background() }
        while true {
            condition.lock()
            while jobs.isEmpty { condition.wait() }
            let job = jobs.removeFirst()
            condition.unlock()
            job.runSynchronously(on: asUnownedTaskExecutor())
        }
    }
}

/// Runs `body` on the training thread while the caller waits.
///
/// The caller must not touch what `body` uses until it returns; callers here refuse re-entry.
func onTrainingThread<Result>(
    _ body: @escaping () async throws -> Result
) async throws -> Result {
    try await onThread(of: OwnThreadExecutor.training, body)
}
