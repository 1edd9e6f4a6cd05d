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

/// Carries what is not `Sendable` to an inference thread and back.
///
/// `@unchecked Sendable`: the caller waits for the result and touches nothing meanwhile.
private struct Transfer<Value>: @unchecked Sendable {
    let value: Value
}

/// Runs `body` on a thread for inference while the caller waits; it is cancelled with the caller.
func onInferenceThread<Result>(
    _ body: @escaping () async throws -> Result
) async throws -> Result {
    let transfer = Transfer(value: body)
    // A child task begins on its executor; a preference alone does not move a body.
    return try await withThrowingTaskGroup(of: Transfer<Result>.self) { group in
        group.addTask(executorPreference: InferenceExecutor.shared) {
            Transfer(value: try await transfer.value())
        }
        guard let result = try await group.next() else { throw CancellationError() }
        return result
    }.value
}
