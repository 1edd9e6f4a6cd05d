import Testing

@testable import RAGKit

/// The data of each step, and what a run is given instead of the usual.
@Suite struct TrainerDataTests {
    /// The position in the data counts examples, also where an epoch's last step has fewer.
    @Test(arguments: [
        (11, 2, 2), (7, 3, 1), (5, 4, 2), (12, 5, 1), (1, 1, 3), (12, 3, 4),
    ])
    func examplesConsumed(count: Int, batch: Int, accumulation: Int) async throws {
        let task = LinearTask()
        let trainer = try Trainer(
            task, examples: Array(LinearTask.examples.prefix(count)),
            arguments: .plain {
                $0.trainBatchSize = batch
                $0.gradientAccumulationSteps = accumulation
                $0.maxSteps = 8
            })
        _ = try await trainer.fit()
        for step in 0...8 {
            let seen = task.prepared.filter { $0.step < step }.flatMap(\.examples).count
            #expect(trainer.examplesConsumed(before: step) == seen, "step \(step)")
        }
        let perEpoch = (0...8).map { trainer.examplesConsumed(before: $0) }
            .filter { $0 % count == 0 }
        #expect(perEpoch.count > 1, "every epoch ends with a step")
    }

    /// However a step is cut into micro-batches, it takes the same examples in the same order.
    @Test func microBatchesDoNotChangeTheOrder() async throws {
        var orders: [[LinearTask.Example]] = []
        for (batch, accumulation) in [(4, 1), (2, 2), (1, 4), (3, 2)] {
            let task = LinearTask()
            let trainer = try Trainer(
                task, examples: Array(LinearTask.examples.prefix(11)),
                arguments: .plain {
                    $0.trainBatchSize = batch
                    $0.gradientAccumulationSteps = accumulation
                    $0.numTrainEpochs = 2
                })
            _ = try await trainer.fit()
            orders.append(task.prepared.flatMap(\.examples))
        }
        #expect(orders.allSatisfy { $0.count == 22 })
        #expect(orders[1] == orders[0] && orders[2] == orders[0] && orders[3] == orders[0])
    }

    // MARK: - Loss of an example

    /// Questions, answers and so contexts of different lengths.
    private static let examples = [
        ("Where was helium first seen?", "in the sun"), ("What keeps iron dry?", "zinc"),
        ("Why tides?", "the moon pulls up the sea twice a day"), ("Who hunts by night?", "owls"),
        ("What grows saltier every year, since it has no outlet?", "the lake"),
    ].map { RagExample(question: $0.0, answers: [$0.1]) }

    /// Who shares its micro-batch does not change the loss of an example, without dropout.
    @Test(arguments: [Marginalization.token, .sequence], [Float(0), 0.1])
    func lossesDoNotDependOnTheCompany(kind: Marginalization, smoothing: Float) async throws {
        let model = try TinyRag.model(kind)
        model.configuration.labelSmoothing = smoothing
        let task = try RagTrainingTask(model)
        func losses(_ places: [Int]) async throws -> [Double] {
            try await ForwardContext.$scoped.withValue(
                ForwardContext(isTraining: true, seed: 1)
            ) {
                let batch = try await task.prepare(places.map { Self.examples[$0] })
                let loss = try model.loss(
                    vectors: batch.vectors, evidence: batch.evidence, targets: batch.targets)
                let sum = try task.loss(batch).sum.item()
                expectClose(Double(sum), Double(loss.sum.item()), relative: 1e-5)
                return loss.perExample.doubles
            }
        }
        var alone: [Double] = []
        for place in Self.examples.indices { alone += try await losses([place]) }
        #expect(alone.count == 5 && Set(alone).count == 5)
        for company in [
            [0, 1, 2, 3, 4], [4, 3, 2, 1, 0], [2, 0], [1, 2], [3, 3, 1], [0, 4, 1],
        ] {
            let together = try await losses(company)
            #expect(together.count == company.count)
            for (place, loss) in zip(company, together) {
                expectClose(loss, alone[place], relative: 1e-5, "example \(place) in \(company)")
            }
        }
    }

    // MARK: - The user's own optimizer

    /// Follows the gradient, and counts.
    private final class CountingSGD: Optimizer {
        let parameters: [(name: String, parameter: Parameter)]
        var rates: [Double] = []

        init(_ parameters: [(name: String, parameter: Parameter)]) { self.parameters = parameters }

        var state: OptimizerState { OptimizerState(counts: ["step": rates.count]) }

        func load(_ state: OptimizerState) throws {}

        func update(_ gradients: Gradients, learningRate: Double, gradientScale: Float) {
            rates.append(learningRate)
            for (_, parameter) in parameters {
                guard let gradient = gradients[parameter] else { continue }
                let step = gradient * (Float(learningRate) * gradientScale)
                parameter.update(parameter.value - step)
            }
        }
    }

    @Test func anOptimizerOfTheUsersOwn() async throws {
        struct Refused: Error {}
        let task = LinearTask()
        var made: [CountingSGD] = []
        let arguments = TrainingArguments.plain {
            $0.trainBatchSize = 12
            $0.lrSchedulerType = .linear
            $0.maxSteps = 4
            $0.frozen = ["unused"]
        }
        let trainer = try Trainer(task, examples: LinearTask.examples, arguments: arguments) {
            let optimizer = CountingSGD($0)
            made.append(optimizer)
            return optimizer
        }
        let own = try #require(made.first)
        #expect(made.count == 1 && trainer.optimizer === own)
        #expect(Set(own.parameters.map(\.name)) == ["slope", "offset"])

        // The same by hand, in Double.
        var weights = task.weights.prefix(4).map { Double($0) }
        _ = try await trainer.fit()
        for step in 0..<4 {
            var gradient = [Double](repeating: 0, count: 4)
            for example in LinearTask.examples {
                let x = example.input.map { Double($0) } + [1]
                let found = zip(weights, x).reduce(0) { $0 + $1.0 * $1.1 }
                for i in 0..<4 { gradient[i] += 2 * (found - Double(example.target)) * x[i] / 12 }
            }
            let rate =
                0.1
                * LearningRateSchedule.linear.factor(step: step, warmupSteps: 0, totalSteps: 4)
            expectClose(own.rates[step], rate, relative: 1e-9)
            for i in 0..<4 { weights[i] -= rate * gradient[i] }
        }
        #expect(own.rates.count == 4)
        expectClose(task.weights.prefix(4).map { Double($0) }, weights, relative: 1e-4)
        #expect(task.weights.suffix(2) == [2, 2])

        #expect(throws: Refused.self) {
            _ = try Trainer(LinearTask(), examples: LinearTask.examples, arguments: .plain()) { _ in
                throw Refused()
            }
        }
    }

    // MARK: - The metric for the best model

    @Test(arguments: [nil, "bleu"] as [String?])
    func unknownMetric(name: String?) async throws {
        let task = LinearTask()
        task.metrics = { _ in ["f1": 1, "em": 2] }
        let place = try TemporaryDirectory()
        let trainer = try Trainer(
            task, examples: LinearTask.examples,
            arguments: .plain {
                $0.maxSteps = 4
                $0.evalSteps = 2
                $0.metricForBestModel = name
                $0.outputDir = place.url
            })
        let error = await #expect(
            throws: TrainingError.unknownMetric(name: name, known: ["em", "f1"])
        ) {
            _ = try await trainer.fit()
        }
        #expect(trainer.step == 2 && trainer.best == nil)
        // What was learnt until then is not lost with the mistake.
        #expect(try LinearTask.weights(in: place.file("last")) == task.weights)
        for word in [name ?? "not set", "em, f1", "`metricForBestModel`"] {
            #expect(error?.description.contains(word) == true, "\(word)")
        }
    }

    /// The arguments' choice, else the task's, else the only one there is.
    @Test func whoseMetricDecides() async throws {
        // The best step by each: "up" grows, "down" falls.
        for (own, wanted, best) in [
            ("up", nil, 6), ("down", nil, 2), ("down", "up", 6), ("up", "down", 2),
        ] as [(String, String?, Int)] {
            let task = LinearTask()
            task.metrics = { ["up": Double($0), "down": -Double($0)] }
            task.metricForBestModel = own
            let trainer = try Trainer(
                task, examples: LinearTask.examples,
                arguments: .plain {
                    $0.maxSteps = 6
                    $0.evalSteps = 2
                    $0.metricForBestModel = wanted
                })
            _ = try await trainer.fit()
            #expect(trainer.best?.step == best, "\(own), \(wanted ?? "none")")
        }
        let task = LinearTask()
        task.metrics = { ["only": Double($0)] }
        let trainer = try Trainer(
            task, examples: LinearTask.examples,
            arguments: .plain {
                $0.maxSteps = 6
                $0.evalSteps = 2
            })
        _ = try await trainer.fit()
        #expect(trainer.best?.step == 6)
    }
}
