// Each function stands twice, for bodies that wait and for others; the compiler takes the one that fits.
// swift-format-ignore-file: AmbiguousTrailingClosureOverload

/// Runs `body` in a context of its own.
public func withForwardContext<Result>(
    _ context: ForwardContext, _ body: () throws -> Result
) rethrows -> Result {
    try ForwardContext.$scoped.withValue(context, operation: body)
}

/// Runs `body`, which waits, in a context of its own.
public func withForwardContext<Result>(
    _ context: ForwardContext, _ body: () async throws -> Result
) async rethrows -> Result {
    try await ForwardContext.$scoped.withValue(context, operation: body)
}

/// Runs `body` as evaluation without a tape: dropout is off and no gradient can be taken.
public func withInference<Result>(_ body: () throws -> Result) rethrows -> Result {
    try withForwardContext(.inference, body)
}

/// Runs `body`, which waits, as evaluation without a tape.
public func withInference<Result>(_ body: () async throws -> Result) async rethrows -> Result {
    try await withForwardContext(.inference, body)
}

/// Runs `body` as training: dropout is on and operators are recorded; the rest of the context stays.
///
/// - Parameters:
///   - seed: The run's seed, from which all dropout follows.
///   - step: The optimizer step, counted from 0.
///   - microBatch: The part of the step's batch, counted from 0.
public func withTraining<Result>(
    seed: UInt64 = 0, step: Int = 0, microBatch: Int = 0, _ body: () throws -> Result
) rethrows -> Result {
    try withForwardContext(.training(seed, step, microBatch), body)
}

/// Runs `body`, which waits, as training.
public func withTraining<Result>(
    seed: UInt64 = 0, step: Int = 0, microBatch: Int = 0, _ body: () async throws -> Result
) async rethrows -> Result {
    try await withForwardContext(.training(seed, step, microBatch), body)
}

extension ForwardContext {
    fileprivate static func training(
        _ seed: UInt64, _ step: Int, _ microBatch: Int
    ) -> ForwardContext {
        let now = current
        return ForwardContext(
            isTraining: true, seed: seed, step: step, microBatch: microBatch,
            precision: now.precision, checkpointsActivations: now.checkpointsActivations,
            profile: now.profile)
    }
}

/// Runs `body` with products with weights in `precision`; the rest of the context stays.
public func withPrecision<Result>(
    _ precision: Precision, _ body: () throws -> Result
) rethrows -> Result {
    var context = ForwardContext.current
    context.precision = precision
    return try ForwardContext.$scoped.withValue(context, operation: body)
}

/// Runs `body`, which waits, with products with weights in `precision`.
public func withPrecision<Result>(
    _ precision: Precision, _ body: () async throws -> Result
) async rethrows -> Result {
    var context = ForwardContext.current
    context.precision = precision
    return try await ForwardContext.$scoped.withValue(context, operation: body)
}
