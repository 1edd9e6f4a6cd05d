import Foundation
import RAGKitBLAS

/// One thread for long work, so that hours of arithmetic never sit on the threads that the host's
/// other tasks share.
///
/// `@unchecked Sendable`: the queue is behind a condition's lock.
final class OwnThreadExecutor: TaskExecutor, @unchecked Sendable {
    static let training = OwnThreadExecutor("RAGKit training")
    /// Its work never takes the pool and gets what time training leaves: a thread of low priority.
    static let refresh = OwnThreadExecutor("RAGKit refresh", isInBackground: true)

    private let name: String
    private let isInBackground: Bool
    private let condition = NSCondition()
    private var jobs: [UnownedJob] = []

    private init(_ name: String, isInBackground: Bool = false) {
        self.name = name
        self.isInBackground = isInBackground
        let thread = Thread { [unowned self] in run() }
        thread.stackSize = 8 << 20
        // Held until the thread object knows its thread: on Linux a name given before is lost.
        condition.withLock { thread.start() }
    }

    func enqueue(_ job: consuming ExecutorJob) {
        let unowned = UnownedJob(job)
        condition.lock()
        jobs.append(unowned)
        condition.signal()
        condition.unlock()
    }

    /// The thread's whole life: the shared executors are never let go.
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
