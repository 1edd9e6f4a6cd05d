import Foundation
import Testing

@testable import RAGKit

/// What a step does to the weights, and what a run does besides.
@Suite struct TrainerTests {
    /// The first step of AdamW without decay: `p - lr · g / (|g| + ε)`.
    private func afterOneStep(_ value: [Float], _ gradient: [Double], rate: Double) -> [Double] {
        zip(value, gradient).map { Double($0) - rate * $1 / (abs($1) + 1) }
    }

    /// The gradient of the sum over `examples`, by hand: slope, then offset.
    private func gradient(_ task: LinearTask, _ examples: [LinearTask.Example]) -> [Double] {
        let (slope, offset) = (task.net.slope.value.doubles, task.net.offset.value.doubles[0])
        var sum = [Double](repeating: 0, count: 4)
        for example in examples {
            let x = example.input.map { Double($0) } + [1]
            let found = zip(slope + [offset], x).reduce(0) { $0 + $1.0 * $1.1 }
            for i in 0..<4 { sum[i] += 2 * (found - Double(example.target)) * x[i] }
        }
        return sum
    }

    @Test(arguments: [TrainingArguments.LossReduction.meanPerToken, .sum], [1, 3])
    func reductions(reduction: TrainingArguments.LossReduction, accumulation: Int) async throws {
        let task = LinearTask()
        let before = task.weights
        let trainer = try Trainer(
            task, examples: LinearTask.examples,
            arguments: .plain {
                $0.trainBatchSize = 4
                $0.gradientAccumulationSteps = accumulation
                $0.maxSteps = 1
                $0.lossReduction = reduction
            })
        let full = gradient(task, LinearTask.examples)
        let report = try await trainer.fit()
        let seen = task.prepared.flatMap(\.examples)
        #expect(seen.count == 4 * accumulation && task.prepared.count == accumulation)
        #expect(task.prepared.map(\.microBatch) == Array(0..<accumulation))
        if accumulation == 3 {
            let divisor = reduction == .sum ? 3.0 : 12
            let expected = afterOneStep(before, full.map { $0 / divisor }, rate: 0.1)
            expectClose(
                Array(task.weights.prefix(4)).map { Double($0) }, expected, relative: 1e-5)
        } else {
            let start = LinearTask()
            let own = gradient(start, seen).map { $0 / (reduction == .sum ? 1 : 4) }
            let expected = afterOneStep(before, own, rate: 0.1)
            expectClose(
                Array(task.weights.prefix(4)).map { Double($0) }, expected, relative: 1e-5)
        }
        #expect(report.steps == 1 && report.losses.count == 1)
        #expect(task.net.unused.value.elements == [2, 2])
    }

    @Test func clippingCutsTheNorm() async throws {
        for limit in [0.05, 1e6] {
            let task = LinearTask()
            let (before, full) = (task.weights, gradient(task, LinearTask.examples))
            let list = EventList()
            let trainer = try Trainer(
                task, examples: LinearTask.examples,
                arguments: .plain {
                    $0.trainBatchSize = 12
                    $0.maxSteps = 1
                    $0.maxGradNorm = limit
                })
            trainer.callbacks = [list]
            _ = try await trainer.fit()
            let mean = full.map { $0 / 12 }
            let norm = mean.reduce(0) { $0 + $1 * $1 }.squareRoot()
            expectClose(list.steps[0].gradNorm, norm, relative: 1e-5, "before clipping")
            let factor = min(1, limit / norm)
            let expected = afterOneStep(before, mean.map { $0 * factor }, rate: 0.1)
            expectClose(
                Array(task.weights.prefix(4)).map { Double($0) }, expected, relative: 1e-4)
        }
    }

    @Test func scheduleAndReports() async throws {
        let (task, list) = (LinearTask(), EventList())
        let arguments = TrainingArguments.plain {
            $0.trainBatchSize = 2
            $0.gradientAccumulationSteps = 2
            $0.numTrainEpochs = 2
            $0.warmupSteps = 2
            $0.lrSchedulerType = .linear
            $0.loggingSteps = 2
        }
        let trainer = try Trainer(
            task, examples: Array(LinearTask.examples.prefix(11)), arguments: arguments)
        trainer.callbacks = [list]
        #expect(trainer.totalSteps == 6)
        let report = try await trainer.fit()
        #expect(list.steps.map(\.step) == [2, 4, 6])
        for step in list.steps {
            let factor = LearningRateSchedule.linear.factor(
                step: step.step - 1, warmupSteps: 2, totalSteps: 6)
            expectClose(step.learningRate, 0.1 * factor, relative: 1e-9)
            expectClose(step.epoch, Double(step.step) / 3, relative: 1e-9)
            #expect(step.totalSteps == 6 && step.targetTokens == (step.step % 3 == 0 ? 3 : 4))
            #expect(step.loss == report.losses[step.step - 1])
        }
        #expect(task.ends.map(\.step) == [1, 2, 3, 4, 5, 6])
        #expect(task.ends.map(\.isLast) == [false, false, false, false, false, true])
        // Each epoch takes every example once, in another order.
        let perStep = Dictionary(grouping: task.prepared, by: \.step)
        let epochs = [0..<3, 3..<6].map { steps in
            steps.flatMap { perStep[$0, default: []].flatMap(\.examples) }
        }
        for epoch in epochs {
            #expect(epoch.count == 11)
            #expect(LinearTask.examples.prefix(11).allSatisfy(epoch.contains))
        }
        #expect(epochs[0] != epochs[1])
    }

    /// The same seed takes the same way, another one another.
    @Test func seeds() async throws {
        var runs: [[Double]] = []
        for seed in [UInt64(7), 7, 8] {
            let trainer = try Trainer(
                LinearTask(), examples: LinearTask.examples,
                arguments: .plain {
                    $0.trainBatchSize = 2
                    $0.seed = seed
                    $0.maxSteps = 5
                })
            runs.append(try await trainer.fit().losses)
        }
        #expect(runs[0] == runs[1] && runs[0] != runs[2])
    }

    @Test func frozenByName() async throws {
        let task = LinearTask()
        let before = task.net.slope.value.copied()
        let trainer = try Trainer(
            task, examples: LinearTask.examples,
            arguments: .plain {
                $0.frozen = ["slo"]
                $0.maxSteps = 3
                $0.adamw.weightDecay = 0.1
                $0.adamw.decay = .all
            })
        _ = try await trainer.fit()
        expectIdentical(task.net.slope.value, before)
        #expect(task.net.offset.value.elements != [0.5])
        let error = #expect(throws: TrainingError.self) {
            _ = try Trainer(
                LinearTask(), examples: LinearTask.examples,
                arguments: .plain { $0.frozen = ["offset", "slopp"] })
        }
        #expect(error == .nothingFrozen("slopp") && error?.description.contains("slopp") == true)
        #expect(throws: TrainingError.nothingToScale("slopp")) {
            _ = try Trainer(
                LinearTask(), examples: LinearTask.examples,
                arguments: .plain { $0.adamw.rateFactors = [.init("slopp", 2)] })
        }
        #expect(throws: TrainingError.nothingTrainable) {
            _ = try Trainer(
                LinearTask(), examples: LinearTask.examples,
                arguments: .plain { $0.frozen = ["slope", "offset", "unused"] })
        }
    }

    @Test func argumentsThatMakeNoSense() {
        let changes: [(String, (inout TrainingArguments) -> Void)] = [
            ("learningRate", { $0.learningRate = 0 }), ("learningRate", { $0.learningRate = .nan }),
            ("trainBatchSize", { $0.trainBatchSize = 0 }), ("maxSteps", { $0.maxSteps = 0 }),
            ("gradientAccumulationSteps", { $0.gradientAccumulationSteps = 0 }),
            ("maxSteps", { $0.numTrainEpochs = 0 }), ("warmupSteps", { $0.warmupSteps = -1 }),
            ("maxGradNorm", { $0.maxGradNorm = 0 }), ("loggingSteps", { $0.loggingSteps = 0 }),
            ("evalSteps", { $0.evalSteps = 0 }),
        ]
        for (name, change) in changes {
            let error = #expect(throws: TrainingError.self) {
                _ = try Trainer(
                    LinearTask(), examples: LinearTask.examples, arguments: .plain(change))
            }
            #expect(error?.description.contains(name) == true)
        }
        #expect(throws: TrainingError.noExamples) {
            _ = try Trainer(LinearTask(), examples: [], arguments: .plain())
        }
    }

    // MARK: Validation and checkpoints

    @Test func bestAndLast() async throws {
        let place = try TemporaryDirectory()
        let (task, list) = (LinearTask(), EventList())
        let scores: [Double] = [0.3, 0.7, .nan, 0.7, 0.5]
        task.metrics = { ["em": scores[$0 - 1], "other": 9] }
        var bestWeights: [Float] = []
        let trainer = try Trainer(
            task, examples: LinearTask.examples,
            arguments: .plain {
                $0.maxSteps = 9
                $0.evalSteps = 2
                $0.metricForBestModel = "em"
                $0.outputDir = place.file("run")
            })
        trainer.callbacks = [
            list,
            Listener { event in
                if case .evaluated(4, _, _) = event { bestWeights = task.weights }
            },
        ]
        let report = try await trainer.fit()
        #expect(task.evaluations == 5, "every second step and at the end")
        #expect(report.metrics["em"] == 0.5 && trainer.best?.step == 4)
        #expect(trainer.best?.metrics["em"] == 0.7)
        #expect(report.evaluations.map(\.step) == [2, 4, 6, 8, 9])
        #expect(report.evaluations.map { "\($0.metrics["em"] ?? 0)" } == scores.map { "\($0)" })
        #expect(list.saved == ["best 2", "best 4", "last 9"])
        #expect(try LinearTask.weights(in: place.file("run/best")) == bestWeights)
        #expect(try LinearTask.weights(in: place.file("run/last")) == task.weights)
        #expect(bestWeights != task.weights)
        guard case .started(9, 6)? = list.events.first, case .finished(9, _)? = list.events.last
        else {
            Issue.record("begins with .started, ends with .finished: \(list.events)")
            return
        }
    }

    @Test func metricsFileHasALineForEachEvent() async throws {
        let place = try TemporaryDirectory()
        let task = LinearTask()
        task.metrics = { _ in ["em": 0.5, "loss": .nan] }
        let file = place.file("metrics.jsonl")
        for run in 0..<2 {
            let trainer = try Trainer(
                task, examples: LinearTask.examples,
                arguments: .plain {
                    $0.maxSteps = 2
                    $0.metricForBestModel = "em"
                    $0.outputDir = place.url
                })
            trainer.callbacks = [try MetricsFile(file)]
            _ = try await trainer.fit()
            let lines = try String(contentsOf: file, encoding: .utf8).split(separator: "\n")
            let events = try lines.map {
                try JSONValue(parsing: String($0), file: "metrics.jsonl", dialect: .strict)
            }
            let names = ["started", "step", "step", "evaluated", "saved", "saved", "finished"]
            #expect(events.count == 7 * (run + 1), "a second run goes on in the same file")
            #expect(events.suffix(7).map { $0["event"]?.stringValue } == names)
            let last = events.suffix(7)
            #expect(last.compactMap { $0["loss"]?.doubleValue }.count == 2)
            let evaluated = try #require(last.first { $0["event"]?.stringValue == "evaluated" })
            #expect(evaluated["eval_em"]?.doubleValue == 0.5)
            #expect(evaluated["eval_loss"] == .null, "not a number has no number")
        }
    }

    @Test func aCallbackCanStop() async throws {
        struct Stop: Error {}
        let trainer = try Trainer(
            LinearTask(), examples: LinearTask.examples, arguments: .plain())
        trainer.callbacks = [
            EventHandler { if case .step(let report) = $0, report.step == 2 { throw Stop() } }
        ]
        await #expect(throws: Stop.self) { _ = try await trainer.fit() }
        #expect(trainer.step == 2)
    }
}
