import Foundation

/// Threads for answering, so that seconds of arithmetic never sit on the threads that the host's
/// other tasks share; as many at once as there are calls.
final class InferenceExecutor: TaskExecutor {
    static let shared = InferenceExecutor()

    private let queue = DispatchQueue(label: "RAGKit inference", attributes: .concurrent)

    func enqueue(_ job: consuming ExecutorJob) {
        let unowned = UnownedJob(job)
        queue.async { unowned.runSynchronously(on: self.asUnownedTaskExecutor()) }
    }
}

/// Runs `body` on a thread for inference while the caller waits; it is cancelled with the caller.
func onInferenceThread<Result>(
    _ body: @escaping () async throws -> Result
) async throws -> Result {
    try await onThread(of: InferenceExecutor.shared, body)
}
