import Foundation
import Synchronization
import Testing

@testable import RAGKit

/// How a run ends before its end, and that it disturbs nobody.
@Suite struct TrainerStopTests {
    /// Nothing changes when a loss or a gradient is not finite, and the message says where.
    @Test(arguments: [true, false], [Float.nan, .infinity])
    func notFinite(inLoss: Bool, value: Float) async throws {
        let (task, list) = (LinearTask(), EventList())
        // The second micro-batch of step 4. A root has an infinite slope at 0.
        task.spoil = { number, loss in
            guard number == 7 else { return loss }
            return inLoss ? loss * value : loss + (loss * 0).squareRoot() * (value.isNaN ? 1 : -1)
        }
        let trainer = try Trainer(
            task, examples: LinearTask.examples,
            arguments: .plain {
                $0.trainBatchSize = 2
                $0.gradientAccumulationSteps = 2
                $0.maxSteps = 8
            })
        var before: [Float] = []
        trainer.callbacks = [
            list, Listener { _ in before = task.weights },
        ]
        let error = await #expect(throws: TrainingError.self) { _ = try await trainer.fit() }
        guard case .notFinite(let what, let step, let examples)? = error else {
            Issue.record("another error: \(error.map { "\($0)" } ?? "none")")
            return
        }
        #expect(what == (inLoss ? "the loss" : "a gradient") && step == 4)
        let batches = inLoss ? [task.prepared[7]] : Array(task.prepared[6...7])
        #expect(examples.map { LinearTask.examples[$0] } == batches.flatMap(\.examples))
        #expect(task.weights == before && trainer.step == 3 && list.steps.count == 3)
        #expect(before.allSatisfy { $0.isFinite })
        let text = error?.description ?? ""
        for word in ["step 4", "\(examples)", "were not changed"] { #expect(text.contains(word)) }

        // The run goes on from there when the fault is gone, as if nothing had been.
        task.spoil = { $1 }
        _ = try await trainer.fit()
        let straight = LinearTask()
        _ = try await Trainer(
            straight, examples: LinearTask.examples, arguments: trainer.arguments
        ).fit()
        expectClose(
            task.weights.map { Double($0) }, straight.weights.map { Double($0) }, relative: 1e-6)
        #expect(trainer.step == 8)
    }

    @MainActor @Test func cancellingFinishesTheStepAndSaves() async throws {
        let place = try TemporaryDirectory()
        let task = LinearTask()
        let trainer = try Trainer(
            task, examples: LinearTask.examples,
            arguments: .plain {
                $0.maxSteps = 50
                $0.outputDir = place.url
            })
        task.duringLoss = { number in
            if number == 2 { withUnsafeCurrentTask { $0?.cancel() } }
        }
        let run = Task { @MainActor in try await trainer.fit().steps }
        await #expect(throws: CancellationError.self) { _ = try await run.value }
        #expect(trainer.step == 3, "the step under way was finished")
        #expect(try LinearTask.weights(in: place.file("last")) == task.weights)
        // What was begun can be finished.
        #expect(try await trainer.fit().steps == 50)
    }

    /// A validation that is cancelled in the middle loses nothing either.
    @MainActor @Test func cancellingDuringValidationSaves() async throws {
        let place = try TemporaryDirectory()
        let task = LinearTask()
        task.metrics = { _ in
            withUnsafeCurrentTask { $0?.cancel() }
            try Task.checkCancellation()
            return [:]
        }
        let trainer = try Trainer(
            task, examples: LinearTask.examples,
            arguments: .plain {
                $0.maxSteps = 6
                $0.evalSteps = 2
                $0.outputDir = place.url
            })
        let run = Task { @MainActor in try await trainer.fit().steps }
        await #expect(throws: CancellationError.self) { _ = try await run.value }
        #expect(trainer.step == 2)
        #expect(try LinearTask.weights(in: place.file("last")) == task.weights)
    }

    /// On the main actor: it stays free while a step computes, and a second `fit` is refused.
    @MainActor @Test func theMainActorStaysFree() async throws {
        let task = LinearTask()
        let trainer = try Trainer(
            task, examples: LinearTask.examples, arguments: .plain { $0.maxSteps = 2 })
        let mayGoOn = DispatchSemaphore(value: 0)
        let (began, beginning) = AsyncStream.makeStream(of: Void.self)
        let waited = Flag()
        task.duringLoss = { _ in
            beginning.yield()
            // Only the main actor can let the step go on.
            waited.value = mayGoOn.wait(timeout: .now() + 60) == .success
        }
        let other = Task { @MainActor in
            for await _ in began { break }
            await #expect(throws: TrainingError.alreadyRunning) { _ = try await trainer.fit() }
            mayGoOn.signal()
            mayGoOn.signal()
        }
        let report = try await trainer.fit()
        await other.value
        #expect(report.steps == 2 && waited.value)
        // It can run again, which is nothing more to do.
        #expect(try await trainer.fit().losses.isEmpty)
    }

    /// The same from inside an actor.
    @Test func anActorStaysFree() async throws {
        actor Owner {
            private let mayGoOn = DispatchSemaphore(value: 0)
            private var isRunning = false

            func train() async throws -> Bool {
                let task = LinearTask()
                let (mayGoOn, waited) = (mayGoOn, Flag())
                task.duringLoss = { _ in
                    waited.value = mayGoOn.wait(timeout: .now() + 60) == .success
                }
                let trainer = try Trainer(
                    task, examples: LinearTask.examples, arguments: .plain { $0.maxSteps = 1 })
                isRunning = true
                _ = try await trainer.fit()
                return waited.value
            }

            /// - Returns: whether `train` is under way.
            func letGoOn() -> Bool {
                if isRunning { mayGoOn.signal() }
                return isRunning
            }
        }
        let owner = Owner()
        async let isFree = owner.train()
        while await !owner.letGoOn() { await Task.yield() }
        #expect(try await isFree)
    }

    /// A run that takes long does not keep another one waiting for its end.
    @MainActor @Test func trainersTakeTurns() async throws {
        let (long, short) = (LinearTask(), LinearTask())
        let (began, beginning) = AsyncStream.makeStream(of: Void.self)
        long.duringLoss = { if $0 == 0 { beginning.yield() } }
        let first = try Trainer(
            long, examples: LinearTask.examples, arguments: .plain { $0.maxSteps = 100_000 })
        let run = Task { @MainActor in try await first.fit() }
        for await _ in began { break }
        let second = try Trainer(
            short, examples: LinearTask.examples, arguments: .plain { $0.maxSteps = 3 })
        #expect(try await second.fit().steps == 3)
        run.cancel()
        await #expect(throws: CancellationError.self) { _ = try await run.value }
        #expect(first.step < 100_000)
    }

    /// Steps run on the training thread, wherever preparing went.
    @Test func lossesRunOnTheTrainingThread() async throws {
        let task = LinearTask()
        let names = Names()
        task.duringLoss = { _ in names.found.withLock { _ = $0.insert(Thread.current.name ?? "") } }
        let trainer = try Trainer(
            task, examples: LinearTask.examples, arguments: .plain { $0.maxSteps = 2 })
        _ = try await trainer.fit()
        #expect(names.found.withLock { $0 } == ["RAGKit training"])
    }
}

/// A Boolean that two threads touch one after the other.
private final class Flag: @unchecked Sendable {
    var value = false
}

private final class Names: Sendable {
    let found = Mutex<Set<String>>([])
}
