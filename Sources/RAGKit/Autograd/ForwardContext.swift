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
    /// How many times each random stream was asked in this pass.
    private let calls = CallCounter()

    public init(
        isTraining: Bool = false, seed: UInt64 = 0, step: Int = 0, microBatch: Int = 0,
        recordsTape: Bool = true
    ) {
        self.isTraining = isTraining
        self.seed = seed
        self.step = step
        self.microBatch = microBatch
        self.recordsTape = recordsTape
    }

    /// Evaluation without a tape: what encoding, searching and generating run in.
    public static var inference: ForwardContext { ForwardContext(recordsTape: false) }

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
    private let counts = Mutex<[String: UInt64]>([:])

    func next(_ path: String) -> UInt64 {
        counts.withLock { counts in
            defer { counts[path, default: 0] += 1 }
            return counts[path, default: 0]
        }
    }
}
