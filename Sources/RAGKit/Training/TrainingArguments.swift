public import Foundation

/// The settings of a training run; names and defaults are those of transformers' Trainer.
public struct TrainingArguments: Sendable {
    /// The scaling of a batch's loss.
    public enum LossReduction: Sendable {
        /// Divided by the target tokens of all micro-batches of a step.
        case meanPerToken
        /// The sum over each micro-batch, divided by the number of micro-batches: the reference's.
        case sum
    }

    /// The folder for models and logs; nothing is written without it.
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
    /// The seed for the order of examples and for dropout.
    public var seed: UInt64 = 42
    /// Optimizer steps between log events.
    public var loggingSteps = 10
    /// Optimizer steps between validations; `nil` validates at the end only.
    public var evalSteps: Int?
    /// The validation metric that decides which model is best; the highest wins. The task's own
    /// choice by default.
    public var metricForBestModel: String?
    /// Parameters whose name contains one of these are not trained.
    public var frozen: [String] = []
    /// The number format of products with weights, in training, validation and re-encoding; not
    /// `.int8`, which has no gradient.
    public var precision = Precision.float32
    /// True if the layers of the built-in models keep only their inputs and compute the rest again
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
