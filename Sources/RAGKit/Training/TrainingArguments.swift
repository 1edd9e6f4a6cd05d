import Foundation

/// The settings of a training run; names and defaults are those of transformers' Trainer.
public struct TrainingArguments: Sendable {
    /// How a batch's loss is scaled.
    public enum LossReduction: Sendable {
        /// Divided by the target tokens of all micro-batches of a step.
        case meanPerToken
        /// The sum over each micro-batch, divided by the number of micro-batches: the reference's.
        case sum
    }

    /// Where checkpoints and logs go; nothing is written without it.
    public var outputDir: URL?
    /// The peak learning rate.
    public var learningRate = 5e-5
    public var lrSchedulerType = LearningRateSchedule.linear
    /// Optimizer steps over which the learning rate rises from 0.
    public var warmupSteps = 0
    public var numTrainEpochs = 3
    /// Optimizer steps in all; replaces `numTrainEpochs`.
    public var maxSteps: Int?
    /// Examples in a micro-batch.
    public var trainBatchSize = 8
    /// Micro-batches in an optimizer step.
    public var gradientAccumulationSteps = 1
    /// The norm that all gradients together are cut to; `nil` leaves them.
    public var maxGradNorm: Double? = 1
    public var adamw = AdamW.Settings()
    public var lossReduction = LossReduction.meanPerToken
    /// Of the order of examples and of dropout.
    public var seed: UInt64 = 42
    /// Optimizer steps between log events.
    public var loggingSteps = 10
    /// Optimizer steps between validations; `nil` validates at the end only.
    public var evalSteps: Int?
    /// Which validation metric decides what is best; the highest wins.
    public var metricForBestModel = "em"
    /// Parameters whose name contains one of these are not trained.
    public var frozen: [String] = []
    /// The number format of products with weights, in training, validation and re-encoding; not
    /// `.int8`, which has no gradient.
    public var precision = Precision.float32
    /// Whether the layers of the built-in models keep only their inputs and compute the rest again
    /// when the gradient comes: less memory for about a third more time, the same gradients.
    public var gradientCheckpointing = false

    public init() {}

    /// The hyper-parameters of the reference's published run on SQuAD (exact match 40.02), for
    /// models loaded from checkpoints.
    public static var ragEnd2EndSQuAD: TrainingArguments {
        var arguments = TrainingArguments()
        arguments.learningRate = 3e-5
        arguments.lrSchedulerType = .polynomial(endFactor: 1e-7 / 3e-5)
        arguments.warmupSteps = 500
        arguments.numTrainEpochs = 10
        arguments.trainBatchSize = 4
        arguments.gradientAccumulationSteps = 8
        arguments.maxGradNorm = 0.1
        arguments.adamw.weightDecay = 0.001
        arguments.adamw.decay = .excludingNames(["bias", "LayerNorm.weight"])
        arguments.adamw.variant = .transformers
        arguments.lossReduction = .sum
        return arguments
    }

    /// - Throws: `TrainingError.invalidArgument` naming the first setting that makes no sense.
    func validate() throws {
        func require(_ isValid: Bool, _ name: String, _ rule: String) throws {
            guard isValid else { throw TrainingError.invalidArgument(name: name, rule: rule) }
        }
        try require(learningRate > 0 && learningRate.isFinite, "learningRate", "above 0")
        try require(trainBatchSize >= 1, "trainBatchSize", "at least 1")
        try require(gradientAccumulationSteps >= 1, "gradientAccumulationSteps", "at least 1")
        try require(maxSteps.map { $0 >= 1 } ?? (numTrainEpochs >= 1), "maxSteps", "at least 1")
        try require(warmupSteps >= 0, "warmupSteps", "at least 0")
        try require(maxGradNorm.map { $0 > 0 } ?? true, "maxGradNorm", "above 0")
        try require(loggingSteps >= 1, "loggingSteps", "at least 1")
        try require(evalSteps.map { $0 >= 1 } ?? true, "evalSteps", "at least 1")
        try require(precision != .int8, "precision", "float32 or bfloat16: int8 has no gradient")
        try require(
            adamw.rateFactors.allSatisfy { $0.factor >= 0 && $0.factor.isFinite }, "rateFactors",
            "at least 0")
    }
}

/// Training that cannot start or go on.
public enum TrainingError: Error, Equatable, CustomStringConvertible {
    case invalidArgument(name: String, rule: String)
    /// The set of examples is empty.
    case noExamples
    /// No parameter's name contains the word.
    case nothingFrozen(String)
    /// No trained parameter's name contains the word of a rate factor.
    case nothingToScale(String)
    case nothingTrainable
    /// A loss or gradient is infinite or not a number; the weights are those of the step before.
    case notFinite(what: String, step: Int, examples: [Int])
    /// The context encoder made vectors that are infinite or not numbers; the old index stays.
    case notFiniteVectors(step: Int)
    /// A retriever without replaceable index was asked to refresh it.
    case notRefreshable(retriever: String)
    /// `fit` was called while it ran.
    case alreadyRunning

    public var description: String {
        switch self {
        case .invalidArgument(let name, let rule): "\(name) must be \(rule)"
        case .noExamples: "there are no training examples"
        case .nothingFrozen(let word):
            "no parameter's name contains '\(word)', which was to be frozen"
        case .nothingToScale(let word):
            "no trained parameter's name contains '\(word)', whose learning rate was to be scaled"
        case .nothingTrainable: "every parameter is frozen: there is nothing to train"
        case .notFinite(let what, let step, let examples):
            "\(what) is infinite or not a number at step \(step), examples \(examples): the weights "
                + "were not changed; lower the learning rate, or look at these examples"
        case .notFiniteVectors(let step):
            "the context encoder of step \(step) makes vectors that are infinite or not numbers: "
                + "the index stays as it was"
        case .notRefreshable(let retriever):
            "\(retriever) cannot take a new index: use a RefreshableRetriever, or the schedule .never"
        case .alreadyRunning: "this trainer runs already"
        }
    }
}
