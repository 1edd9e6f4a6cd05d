import Foundation

/// Trains a task: batches, gradients, updates, validation, checkpoints.
///
///     let trainer = try Trainer(task, examples: train, arguments: arguments)
///     trainer.callbacks = [ProgressBar()]
///     let report = try await trainer.fit()
///
/// Used from one task at a time. `fit` runs on a thread of its own; cancelling the task that waits
/// for it finishes the step, saves, and throws `CancellationError`.
public final class Trainer<Objective: TrainingTask> {
    public let task: Objective
    public let examples: [Objective.Example]
    public let arguments: TrainingArguments
    public var callbacks: [any TrainerCallback] = []

    /// Optimizer steps made so far.
    public private(set) var step = 0
    /// The best validation metrics so far, and the step they were measured after.
    public private(set) var best: (step: Int, metrics: [String: Double])?

    /// The optimizer of the trainable parameters.
    public let optimizer: any Optimizer
    private let trainable: [Parameter]
    private let examplesPerStep: Int
    private let stepsPerEpoch: Int
    private var isRunning = false
    /// The results of the run under way.
    private var report = Report()

    /// The results of a finished run.
    public struct Report: Sendable {
        public var steps = 0
        public var seconds = 0.0
        /// The mean loss per target token of each step, in nats.
        public var losses: [Double] = []
        /// The metrics of each validation, and the step that it followed.
        public var evaluations: [(step: Int, metrics: [String: Double])] = []
        /// The numbers that the task reported.
        public var scalars: [TrainingScalars] = []

        /// The last validation's metrics; empty without validation.
        public var metrics: [String: Double] { evaluations.last?.metrics ?? [:] }
    }

    /// - Parameter optimizer: Makes the optimizer of the trainable parameters, which come with their
    ///   names; AdamW with `arguments.adamw` by default.
    /// - Throws: `TrainingError` when nothing could be trained, or the fault that the task finds.
    public init(
        _ task: Objective, examples: [Objective.Example], arguments: TrainingArguments,
        optimizer: (([(name: String, parameter: Parameter)]) throws -> any Optimizer)? = nil
    ) throws {
        try arguments.validate()
        guard !examples.isEmpty else { throw TrainingError.noExamples }
        try task.validate()
        try task.validate(examples)
        for word in arguments.frozen where task.model.freeze(where: { $0.contains(word) }) == 0 {
            throw TrainingError.nothingFrozen(word)
        }
        self.task = task
        self.examples = examples
        self.arguments = arguments
        let named = task.model.namedParameters().filter(\.parameter.isTrainable)
        guard !named.isEmpty else { throw TrainingError.nothingTrainable }
        for word in arguments.adamw.rateFactors.map(\.word)
        where !named.contains(where: { $0.name.contains(word) }) {
            throw TrainingError.nothingToScale(word)
        }
        trainable = named.map(\.parameter)
        self.optimizer = try optimizer?(named) ?? AdamW(named, arguments.adamw)
        examplesPerStep = arguments.trainBatchSize * arguments.gradientAccumulationSteps
        stepsPerEpoch = (examples.count + examplesPerStep - 1) / examplesPerStep
    }

    /// The optimizer steps of the whole run.
    public var totalSteps: Int { arguments.maxSteps ?? stepsPerEpoch * arguments.numTrainEpochs }

    /// Trains to the end.
    ///
    /// - Throws: `TrainingError`, `CancellationError`, or what the task or a callback throws. The
    ///   weights are those after the last whole step.
    public func fit() async throws -> Report {
        guard !isRunning else { throw TrainingError.alreadyRunning }
        isRunning = true
        defer { isRunning = false }
        return try await onTrainingThread {
            try await withPrecision(self.arguments.precision) { try await self.run() }
        }
    }

    private func run() async throws -> Report {
        let start = Date()
        report = Report()
        try emit(
            .started(
                totalSteps: totalSteps,
                trainableParameters: trainable.reduce(0) { $0 + $1.shape.product }))
        do {
            while step < totalSteps {
                let made = try await trainStep()
                report.losses.append(made.loss)
                let isLast = step == totalSteps
                if isLast || step % arguments.loggingSteps == 0 { try emit(.step(made)) }
                try await inPhase("refresh") {
                    try await task.afterStep(step, isLast: isLast, report: emit)
                }
                if isLast || arguments.evalSteps.map({ step % $0 == 0 }) == true {
                    try await inPhase("validation") { try await validate() }
                }
                if !isLast { try Task.checkCancellation() }
                // Lets another trainer have the thread for a step.
                await Task.yield()
            }
        } catch let error as CancellationError {
            // Also from a search or a validation that was cancelled in the middle.
            try save("last")
            throw error
        } catch {
            // The weights are those after the last whole step: hours of work are not lost with it.
            if step > 0 { try? save("last") }
            throw error
        }
        try save("last")
        report.steps = step
        report.seconds = Date().timeIntervalSince(start)
        try emit(.finished(step: step, seconds: report.seconds))
        return report
    }

    /// One optimizer step. Nothing changes unless loss and gradients are finite.
    private func trainStep() async throws -> StepReport {
        let start = Date()
        let batches = batches(of: step)
        var gradients = Gradients()
        var (loss, tokens) = (0.0, 0)
        for (number, batch) in batches.enumerated() {
            let context = ForwardContext(
                isTraining: true, seed: arguments.seed, step: step, microBatch: number,
                precision: arguments.precision,
                checkpointsActivations: arguments.gradientCheckpointing, profile: Profile.current)
            let (value, weight, own) = try await ForwardContext.$scoped.withValue(context) {
                let prepared = try await inPhase("prepare") {
                    try await task.prepare(batch.map { examples[$0] })
                }
                let result = try inPhase("forward") { try task.loss(prepared) }
                let value = Double(result.sum.item())
                guard value.isFinite else { throw notFinite("the loss", batch) }
                let gradients = inPhase("backward") {
                    RAGKit.gradients(of: result.sum, for: trainable)
                }
                return (value, result.weight, gradients)
            }
            loss += value
            tokens += weight
            gradients.add(own)
        }
        let divisor =
            switch arguments.lossReduction {
            case .meanPerToken: Double(max(1, tokens))
            case .sum: Double(batches.count)
            }
        let norm = inPhase("update") { gradients.norm } / divisor
        guard norm.isFinite else { throw notFinite("a gradient", batches.flatMap { $0 }) }
        let clip = arguments.maxGradNorm.map { min(1, $0 / (norm + 1e-6)) } ?? 1
        let rate =
            arguments.learningRate
            * arguments.lrSchedulerType.factor(
                step: step, warmupSteps: arguments.warmupSteps, totalSteps: totalSteps)
        inPhase("update") {
            optimizer.update(
                gradients, learningRate: rate, gradientScale: Float(clip / divisor))
        }
        step += 1
        return StepReport(
            step: step, totalSteps: totalSteps, epoch: Double(step) / Double(stepsPerEpoch),
            loss: loss / Double(max(1, tokens)), learningRate: rate, gradNorm: norm,
            seconds: Date().timeIntervalSince(start), targetTokens: tokens)
    }

    /// The number of examples consumed before an optimizer step, over all epochs: the position in the
    /// data, whatever the sizes of micro-batches are. The last step of an epoch may have fewer.
    func examplesConsumed(before step: Int) -> Int {
        let (epoch, place) = step.quotientAndRemainder(dividingBy: stepsPerEpoch)
        return epoch * examples.count + place * examplesPerStep
    }

    /// The examples of each micro-batch of an optimizer step: a function of seed and position alone.
    private func batches(of step: Int) -> [[Int]] {
        let (epoch, first) = examplesConsumed(before: step)
            .quotientAndRemainder(dividingBy: examples.count)
        var generator = SeededGenerator(
            seed: SeededGenerator.mixed(arguments.seed &+ UInt64(epoch) &* 0x9E37_79B9))
        let order = Array(examples.indices).shuffled(using: &generator)
        let all = order[first..<min(order.count, first + examplesPerStep)]
        let size = arguments.trainBatchSize
        return stride(from: all.startIndex, to: all.endIndex, by: size).map {
            Array(all[$0..<min($0 + size, all.endIndex)])
        }
    }

    private func notFinite(_ what: String, _ batch: [Int]) -> TrainingError {
        .notFinite(what: what, step: step + 1, examples: batch)
    }

    /// Validates, and keeps the model if it is the best so far.
    private func validate() async throws {
        let metrics = try await task.evaluate()
        guard !metrics.isEmpty else { return }
        let chosen = arguments.metricForBestModel ?? task.metricForBestModel
        guard let name = chosen ?? (metrics.count == 1 ? metrics.keys.first : nil),
            metrics[name] != nil
        else {
            try emit(.evaluated(step: step, metrics: metrics, isBest: false))
            throw TrainingError.unknownMetric(name: chosen, known: metrics.keys.sorted())
        }
        let value = metrics[name].flatMap { $0.isFinite ? $0 : nil }
        let previous = best?.metrics[name] ?? -.infinity
        let isBest = value.map { $0 > previous } ?? false
        try emit(.evaluated(step: step, metrics: metrics, isBest: isBest))
        if isBest {
            best = (step, metrics)
            try save("best")
        }
    }

    private func save(_ name: String) throws {
        guard let output = arguments.outputDir else { return }
        try FileCalls.makeDirectories(output)
        let directory = output.appendingPathComponent(name)
        try inPhase("saving") {
            try AtomicDirectory.write(to: directory, replacing: true) { try task.save(in: $0) }
        }
        try emit(.saved(step: step, directory: directory))
    }

    private func emit(_ event: TrainingEvent) throws {
        switch event {
        case .evaluated(let step, let metrics, _): report.evaluations.append((step, metrics))
        case .scalars(let scalars): report.scalars.append(scalars)
        default: break
        }
        for callback in callbacks { try callback.handle(event) }
    }
}
