import Synchronization

/// The settings of a forward pass besides its inputs: mode, random numbers, precision, tape.
///
/// A scope, never a global: `withTraining`, `withInference`, `withPrecision` and
/// `withForwardContext` set it for what runs inside and restore it also when that throws. The
/// default is evaluation with a tape.
public struct ForwardContext: Sendable {
    @TaskLocal static var scoped = ForwardContext()

    /// The context of the running task.
    public static var current: ForwardContext { scoped }

    /// True if dropout is active.
    public var isTraining: Bool
    /// The run's seed, from which all dropout follows.
    public var seed: UInt64
    /// The optimizer step, counted from 0.
    public var step: Int
    /// The part of the step's batch, counted from 0.
    public var microBatch: Int
    /// True if operators are recorded, so that gradients can be taken.
    public var recordsTape: Bool
    /// The number format of products with weights.
    public var precision: Precision
    /// True if `Module.checkpointed` keeps only the inputs of its part and computes the rest again.
    public var checkpointsActivations: Bool
    /// The profile that counts the work, if any.
    public var profile: Profile?
    /// The number of times that each random stream was asked in this pass.
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

    /// Evaluation without a tape, with precision and profile of the present context, as encoding,
    /// searching and generating use it.
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
