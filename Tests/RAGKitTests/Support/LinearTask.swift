import Foundation
import Testing

@testable import RAGKit

/// Least squares with an exact answer: small enough to say what a step must do.
final class LinearTask: TrainingTask {
    final class Net: Module {
        let slope = Parameter([3], .zeros)
        let offset = Parameter([1], .zeros)
        let unused = Parameter([2], .ones)

        override init() {
            super.init()
            var numbers = SeededGenerator(seed: 3)
            slope.update(.randomNormal([3], using: &numbers))
            offset.update(.full([1], 0.5))
            unused.update(.full([2], 2))
        }
    }

    struct Example: Equatable {
        var input: [Float]
        var target: Float
    }

    static let examples: [Example] = (0..<12).map { index in
        let x = (0..<3).map { Float((index * 7 + $0 * 5) % 11) / 11 - 0.5 }
        return Example(input: x, target: 2 * x[0] - x[1] + 0.5 * x[2] + 0.25)
    }

    let net = Net()
    var model: Module { net }
    /// What was prepared, batch by batch, with the step and micro-batch of the context.
    var prepared: [(examples: [Example], step: Int, microBatch: Int)] = []
    /// Replaces a loss; called with its number, counted from 0.
    var spoil: (Int, Tensor) -> Tensor = { $1 }
    /// Called with a loss's number as it is computed, on the training thread.
    var duringLoss: @Sendable (Int) -> Void = { _ in }
    var metrics: @Sendable (Int) async throws -> [String: Double] = { _ in [:] }
    /// The task's own choice of the metric for the best model.
    var metricForBestModel: String?
    private(set) var losses = 0
    private(set) var evaluations = 0
    private(set) var ends: [(step: Int, isLast: Bool)] = []

    func prepare(_ batch: [Example]) async throws -> [Example] {
        let context = ForwardContext.current
        #expect(context.isTraining && context.recordsTape)
        prepared.append((batch, context.step, context.microBatch))
        return batch
    }

    func loss(_ batch: [Example]) throws -> TrainingLoss {
        duringLoss(losses)
        defer { losses += 1 }
        let x = Tensor(batch.flatMap(\.input), shape: [batch.count, 3])
        let y = Tensor(batch.map(\.target), shape: [batch.count])
        let found = (x * net.slope.tensor).sum(axis: 1) + net.offset.tensor
        return TrainingLoss(sum: spoil(losses, (found - y).squared().sum()), weight: batch.count)
    }

    func evaluate() async throws -> [String: Double] {
        evaluations += 1
        return try await metrics(evaluations)
    }

    func afterStep(
        _ step: Int, isLast: Bool, report: (TrainingEvent) throws -> Void
    ) async throws { ends.append((step, isLast)) }

    func save(in directory: URL) throws {
        try net.saveWeights(to: directory.appendingPathComponent("model.safetensors"))
    }

    /// All weights, as they lie in a saved directory.
    static func weights(in directory: URL) throws -> [Float] {
        let weights = try ModelWeights(directory: directory)
        return try ["slope", "offset", "unused"].flatMap { try weights.tensor($0).elements }
    }

    var weights: [Float] { net.parameters().flatMap { $0.value.elements } }
}

extension TrainingArguments {
    /// Steps that follow the gradient, nearly: with a large epsilon, sizes of gradients show.
    static func plain(_ change: (inout TrainingArguments) -> Void = { _ in }) -> TrainingArguments {
        var arguments = TrainingArguments()
        arguments.learningRate = 0.1
        arguments.lrSchedulerType = .constant
        arguments.adamw.epsilon = 1
        arguments.maxGradNorm = nil
        arguments.loggingSteps = 1
        change(&arguments)
        return arguments
    }
}

/// Calls a closure, which may hold what only one thread uses: no test touches it before training ends.
final class Listener: TrainerCallback {
    private let body: (TrainingEvent) throws -> Void
    init(_ body: @escaping (TrainingEvent) throws -> Void) { self.body = body }
    func handle(_ event: TrainingEvent) throws { try body(event) }
}

/// Gathers events.
final class EventList: TrainerCallback {
    var events: [TrainingEvent] = []
    func handle(_ event: TrainingEvent) throws { events.append(event) }

    var steps: [StepReport] {
        events.compactMap { if case .step(let report) = $0 { report } else { nil } }
    }
    /// The numbers of each refresh that was reported.
    var refreshes: [TrainingScalars] {
        events.compactMap {
            if case .scalars(let scalars) = $0, scalars.name == "refreshed" { scalars } else { nil }
        }
    }
    var saved: [String] {
        events.compactMap {
            if case .saved(let step, let url) = $0 {
                "\(url.lastPathComponent) \(step)"
            } else {
                nil
            }
        }
    }
}
