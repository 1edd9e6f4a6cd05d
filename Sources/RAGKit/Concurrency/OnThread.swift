/// Carries what is not `Sendable` to an executor's thread and back.
///
/// `@unchecked Sendable`: the caller waits for the result and touches nothing meanwhile.
private struct Transfer<Value>: @unchecked Sendable {
    let value: Value
}

/// Runs `body` on a thread of the executor while the caller waits; it is cancelled with the caller.
///
/// The caller must not touch what `body` uses until it returns.
func onThread<Result>(
    of executor: any TaskExecutor, _ body: @escaping () async throws -> Result
) async throws -> Result {
    let transfer = Transfer(value: body)
    // A child task begins on its executor. A preference alone does not move a body that never waits:
    // it would stay on the caller's thread, the main one perhaps.
    return try await withThrowingTaskGroup(of: Transfer<Result>.self) { group in
        group.addTask(executorPreference: executor) {
            Transfer(value: try await transfer.value())
        }
        guard let result = try await group.next() else { throw CancellationError() }
        return result
    }.value
}
