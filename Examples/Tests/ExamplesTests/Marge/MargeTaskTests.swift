import RAGKit
import Testing

@testable import Marge

@Suite struct MargeTaskTests {
    /// Batches are formed again every so many steps, by the model as it then is, and not at the end.
    @Test func batchesAreRebuilt() async throws {
        var steps: [Int] = []
        let documents = MargeModelTests.documents.enumerated().map { place, ids in
            MargeDocument(ids: ids, shard: 0, language: place % 2)
        }
        let task = MargeTask(
            MargeModelTests.model(), batcher: MargeBatcher(), rebuildSteps: 2, seed: 1
        ) { step, _ in
            steps.append(step)
            return documents
        }
        #expect(steps == [0] && !task.examples.isEmpty)
        for step in 1...6 { try await task.afterStep(step, isLast: step == 6) { _ in } }
        #expect(steps == [0, 2, 4])
        let batches = try await task.prepare(task.examples + [1000])
        #expect(batches.count == task.examples.count + 1)
        #expect(batches.allSatisfy { !$0.targets.isEmpty && !$0.evidence.isEmpty })
        let loss = try task.loss(batches)
        #expect(loss.weight > 0 && loss.sum.item().isFinite)
    }

    /// Training lets the reconstruction of a few documents become likely.
    @Test func aFewDocumentsAreLearnt() async throws {
        let documents = MargeModelTests.documents.enumerated().map { place, ids in
            MargeDocument(ids: ids, shard: 0, language: place % 2)
        }
        let task = MargeTask(
            MargeModelTests.model(), batcher: MargeBatcher(), rebuildSteps: 10, seed: 1
        ) { _, _ in documents }
        var arguments = TrainingArguments()
        arguments.maxSteps = 300
        arguments.trainBatchSize = 1
        arguments.learningRate = 0.01
        let losses = try await Trainer(task, examples: task.examples, arguments: arguments)
            .fit().losses
        let (first, last) = (losses.prefix(5), losses.suffix(5))
        #expect(last.reduce(0, +) < first.reduce(0, +) / 2, "\(losses)")
    }
}
