import Synchronization

/// What a forward pass needs to know besides its inputs: mode, random numbers, precision, tape.
///
/// A scope, never a global: `ForwardContext.$current.withValue(…)` sets it for what runs inside and
/// restores it also when that throws. The default is evaluation with a tape.
public struct ForwardContext: Sendable {
    /// The context of the running task.
    @TaskLocal public static var current = ForwardContext()

    /// Whether dropout is active.
    public var isTraining: Bool
    /// The run's seed, from which all dropout follows.
    public var seed: UInt64
    /// The optimizer step, counted from 0.
    public var step: Int
    /// The part of the step's batch, counted from 0.
    public var microBatch: Int
    /// Whether operators remember how to take gradients.
    public var recordsTape: Bool
    /// The number format of products with weights.
    public var precision: Precision
    /// Whether `Module.checkpointed` keeps only the inputs of its part and computes the rest again.
    public var checkpointsActivations: Bool
    /// Where the work is counted, if anywhere.
    public var profile: Profile?
    /// How many times each random stream was asked in this pass.
    private var calls = CallCounter()

    public init(
        isTraining: Bool = false, seed: UInt64 = 0, step: Int = 0, microBatch: Int = 0,
        recordsTape: Bool = true, precision: Precision = .float32,
        checkpointsActivations: Bool = false, profile: Profile? = nil
    ) {
        self.isTraining = isTraining
        self.seed = seed
        self.step = step
        self.microBatch = microBatch
        self.recordsTape = recordsTape
        self.precision = precision
        self.checkpointsActivations = checkpointsActivations
        self.profile = profile
    }

    /// This context as it is now, for doing again what follows: random streams that are asked for
    /// meanwhile do not count.
    func replayed() -> ForwardContext {
        var copy = self
        copy.calls = calls.copy()
        return copy
    }

    /// Evaluation without a tape, with precision and profile of the present context: what encoding,
    /// searching and generating run in.
    public static var inference: ForwardContext {
        ForwardContext(
            recordsTape: false, precision: current.precision, profile: current.profile)
    }

    /// The number of the random stream that the module at `path` uses for its next call.
    ///
    /// It depends on path, step, micro-batch and how often that path was called within this pass,
    /// and on nothing else: not on threads, and not on other modules.
    func stream(_ path: String) -> UInt64 {
        let call = calls.next(path)
        return [UInt64(step), UInt64(microBatch), call].reduce(stableHash(path)) {
            SeededGenerator.mixed($0 &+ 0x9E37_79B9_7F4A_7C15 &+ $1)
        }
    }
}

/// Runs `body` with products with weights in `precision`; the rest of the context stays.
public func withPrecision<Result>(
    _ precision: Precision, _ body: () throws -> Result
) rethrows -> Result {
    var context = ForwardContext.current
    context.precision = precision
    return try ForwardContext.$current.withValue(context, operation: body)
}

/// As the other `withPrecision`, for work that waits.
public func withPrecision<Result>(
    _ precision: Precision, _ body: () async throws -> Result
) async rethrows -> Result {
    var context = ForwardContext.current
    context.precision = precision
    return try await ForwardContext.$current.withValue(context, operation: body)
}

/// Counts calls by path.
private final class CallCounter: Sendable {
    private let counts: Mutex<[String: UInt64]>

    init(_ counts: [String: UInt64] = [:]) { self.counts = Mutex(counts) }

    func copy() -> CallCounter { CallCounter(counts.withLock { $0 }) }

    func next(_ path: String) -> UInt64 {
        counts.withLock { counts in
            defer { counts[path, default: 0] += 1 }
            return counts[path, default: 0]
        }
    }
}
