import Foundation
import Testing

@testable import RAGKit

/// Training of whole RAG models.
@Suite struct RagTrainingTests {
    /// Targets of different lengths, so that a wrong mean shows.
    private static let examples = [
        ("Where was helium first seen?", "in the sun"), ("What keeps iron dry?", "zinc"),
        ("Why tides?", "the moon pulls up the sea twice a day"), ("Who hunts by night?", "owls"),
        ("What grows saltier?", "the lake without an outlet"),
    ].map { RagExample(question: $0.0, answers: [$0.1]) }

    private func arguments(_ change: (inout TrainingArguments) -> Void) -> TrainingArguments {
        .plain {
            $0.learningRate = 0.05
            change(&$0)
        }
    }

    /// Accumulated parts of a batch, the last one short, give the step of the whole batch.
    @Test(arguments: [Marginalization.token, .sequence], [(1, 5), (2, 3), (3, 2)])
    func accumulationEqualsOneBatch(
        kind: Marginalization, size: (batch: Int, accumulation: Int)
    ) async throws {
        func weights(_ batch: Int, _ accumulation: Int) async throws -> ([Tensor], [Double]) {
            let model = try TinyRag.model(kind)
            let before = model.parameters().map { $0.value.copied() }
            let trainer = try Trainer(
                RagTrainingTask(model), examples: Self.examples,
                arguments: arguments {
                    $0.trainBatchSize = batch
                    $0.gradientAccumulationSteps = accumulation
                    $0.maxSteps = 1
                })
            let losses = try await trainer.fit().losses
            return (zip(model.parameters(), before).map { $0.value - $1 }, losses)
        }
        let (whole, loss) = try await weights(5, 1)
        let (parts, partLoss) = try await weights(size.batch, size.accumulation)
        expectClose(partLoss[0], loss[0], relative: 1e-6)
        // The change of the weights, not the weights: these hardly differ.
        let length = whole.reduce(0) { $0 + dot($1, $1) }.squareRoot()
        let distance = zip(whole, parts).reduce(0) { sum, pair in
            let difference = pair.0 - pair.1
            return sum + dot(difference, difference)
        }.squareRoot()
        #expect(distance < 1e-5 * length, "\(distance) of \(length)")
    }

    /// The loss of a few examples goes to nothing, and the answers are theirs.
    @Test(.tags(.slow), .unlessFast, arguments: [Marginalization.token, .sequence])
    func aTinyBatchIsLearntByHeart(kind: Marginalization) async throws {
        let model = try TinyRag.model(kind)
        var numbers = SeededGenerator(seed: 2)
        for (name, parameter) in model.namedParameters() where parameter.shape.count > 1 {
            let size: Float = name.contains("shared") ? 0.3 : 0.15
            parameter.update(
                .randomNormal(parameter.shape, standardDeviation: size, using: &numbers))
        }
        model.generation.maxLength = 20
        let examples = TinyRag.examples
        let task = try RagTrainingTask(model, validation: examples)
        let trainer = try Trainer(
            task, examples: examples,
            arguments: arguments {
                $0.learningRate = 0.01
                $0.adamw.epsilon = 1e-8
                $0.maxGradNorm = 1
                $0.maxSteps = 80
                $0.trainBatchSize = 3
            })
        let report = try await trainer.fit()
        let (first, last) = (report.losses[0], try #require(report.losses.last))
        #expect(first > 4 && last < 0.05, "from \(first) to \(last)")
        #expect(report.metrics["em"] == 100 && report.metrics["f1"] == 100, "\(report.metrics)")
        let answers = try await model.answer(TinyRag.questions)
        #expect(answers.map(\.text) == TinyRag.answers)
    }

    /// The same seed gives the same losses, with dropout too; another seed does not.
    @Test func seedsWithDropout() async throws {
        var runs: [[Double]] = []
        for seed in [UInt64(5), 5, 6] {
            let trainer = try Trainer(
                RagTrainingTask(TinyRag.model(dropout: 0.3)), examples: TinyRag.examples,
                arguments: arguments {
                    $0.seed = seed
                    $0.maxSteps = 3
                    $0.trainBatchSize = 2
                    $0.gradientAccumulationSteps = 2
                })
            runs.append(try await trainer.fit().losses)
        }
        // Other tests change the kernels of the process, so not to the last bit.
        expectClose(runs[1], runs[0], relative: 1e-4)
        #expect(zip(runs[0], runs[2]).contains { abs($0 - $1) > 1e-2 }, "\(runs)")
        let plain = try Trainer(
            RagTrainingTask(TinyRag.model()), examples: TinyRag.examples,
            arguments: arguments {
                $0.seed = 5
                $0.maxSteps = 3
                $0.trainBatchSize = 2
                $0.gradientAccumulationSteps = 2
            })
        let without = try await plain.fit().losses
        #expect(abs(without[0] - runs[0][0]) > 1e-2, "dropout does something")
    }

    /// Every trainable parameter changes, frozen ones do not.
    ///
    /// Key biases add the same to all scores of a query. The bias of the context encoder's
    /// projection, and that of the last norm before it, add the same to all documents' vectors, so
    /// to all scores of a question. Softmax ignores both: gradients are zero but for rounding.
    @Test(arguments: [Marginalization.token, .sequence])
    func everyParameterChanges(kind: Marginalization) async throws {
        let model = try TinyRag.model(kind)
        func isExempt(_ name: String) -> Bool {
            name.hasSuffix("key.bias") || name.hasSuffix("k_proj.bias")
                || name.hasSuffix("ctx_encoder.encode_proj.bias")
                || name.hasSuffix("ctx_encoder.bert_model.encoder.layer.0.output.LayerNorm.bias")
        }
        let frozen = ["decoder.layers.0.fc1", "question_encoder.bert_model.embeddings.Layer"]
        let before = model.namedValues().map { ($0.name, $0.parameter.value.copied()) }
        let trainer = try Trainer(
            RagTrainingTask(model), examples: TinyRag.examples,
            arguments: arguments {
                $0.maxSteps = 1
                $0.learningRate = 1
                $0.frozen = frozen
            })
        _ = try await trainer.fit()
        for ((name, old), (_, parameter)) in zip(before, model.namedValues()) {
            if parameter.isBuffer || frozen.contains(where: name.contains) {
                expectIdentical(parameter.value, old, name)
                continue
            }
            let largest =
                zip(parameter.value.elements, old.elements).map { abs($0 - $1) }.max() ?? 0
            if isExempt(name) {
                #expect(largest < 1e-5, "\(name) is exempt, and changes by \(largest)")
            } else {
                #expect(largest > 1e-5, "\(name) changes by \(largest)")
            }
        }
    }

    /// Without a context encoder an encoder beside the model stays as it is.
    @Test func withoutContextEncoder() async throws {
        let model = try TinyRag.model(endToEnd: false)
        let before = model.questionEncoder.parameters().map { $0.value.copied() }
        let trainer = try Trainer(
            RagTrainingTask(model), examples: TinyRag.examples,
            arguments: arguments { $0.maxSteps = 1 })
        let report = try await trainer.fit()
        #expect(report.losses[0].isFinite)
        let now = model.questionEncoder.parameters().map(\.value)
        #expect(zip(before, now).contains { $0.elements != $1.elements })
    }

    @Test func checkpointsLoad() async throws {
        let place = try TemporaryDirectory()
        let model = try TinyRag.model()
        let task = try RagTrainingTask(model, validation: TinyRag.examples)
        let trainer = try Trainer(
            task, examples: TinyRag.examples,
            arguments: arguments {
                $0.maxSteps = 2
                $0.evalSteps = 1
                $0.metricForBestModel = "recall@1"
                $0.outputDir = place.file("run")
            })
        _ = try await trainer.fit()
        for name in ["best", "last"] {
            let again = try RagModel(contentsOf: place.file("run/\(name)"))
            #expect(again.namedValues().map(\.name) == model.namedValues().map(\.name))
            #expect(again.contextTokenizer != nil)
            guard name == "last" else { continue }
            for (a, b) in zip(again.namedValues(), model.namedValues()) {
                expectIdentical(a.parameter.value, b.parameter.value, a.name)
            }
        }
    }

    /// An example that cannot be used is an error before the first step, with its number.
    @Test func examplesThatCannotBeUsed() throws {
        let model = try TinyRag.model()
        let task = try RagTrainingTask(model)
        let long = String(repeating: "salt ", count: 200)
        for (example, expected) in [
            (RagExample(question: "why", answers: []), RagError.emptyTarget(index: 1)),
            (RagExample(question: "why", answers: [" "]), .emptyTarget(index: 1)),
            (RagExample(question: " \t", answers: ["x"]), .emptyQuestion(index: 1)),
            (
                RagExample(question: long, answers: ["x"]),
                .longQuestion(
                    place: "example 1", tokens: model.questionTokenizer.encode(long).ids.count,
                    limit: 64)
            ),
        ] as [(RagExample, RagError)] {
            #expect(throws: expected) {
                _ = try Trainer(
                    task, examples: [TinyRag.examples[0], example], arguments: arguments { _ in })
            }
        }
        var read = RagExample(question: long, answers: ["x"])
        read.origin = "train.source:7"
        let error = #expect(throws: RagError.self) { try task.validate([read]) }
        #expect(error?.description.hasPrefix("train.source:7: ") == true)
        // Answers are given all the same, from the beginning of the question.
        #expect(try model.questionTokens([long]).lengths == [64])
    }

    // MARK: In-batch negatives

    @Test func inBatchNegatives() async throws {
        let model = try TinyRag.model()
        let context = try #require(model.contextEncoder)
        let task = try InBatchNegativesTask(
            questionEncoder: model.questionEncoder, questionTokenizer: model.questionTokenizer,
            contextEncoder: context, contextTokenizer: model.questionTokenizer, temperature: 2)
        // The last two share a passage.
        let pairs = zip(TinyRag.questions + ["Why twice?"], [0, 3, 5, 5]).map {
            InBatchNegativesTask.Pair(question: $0, passage: TinyRag.passages[$1])
        }
        let loss = try task.loss(try await task.prepare(pairs))
        #expect(loss.weight == 4)
        let q = model.questionEncoder(
            TokenBatch(pairs.map { model.questionTokenizer.encode($0.question).ids }))
        let encoding = PassageEncoder(tokenizer: model.questionTokenizer)
        let d = context(
            TokenBatch([0, 3, 5].map { encoding.ids(of: TinyRag.passages[$0], for: context) }))
        let expected = (0..<4).map { row in
            let scores = (0..<3).map { dot(q.slice(row..<row + 1), d.slice($0..<$0 + 1)) / 2 }
            return -NaiveRag.logSoftmax(scores)[min(row, 2)]
        }
        expectClose(Double(loss.sum.item()), expected.reduce(0, +), relative: 1e-5)
        let trainer = try Trainer(
            task, examples: pairs,
            arguments: arguments {
                $0.learningRate = 0.01
                $0.adamw.epsilon = 1e-8
                $0.trainBatchSize = 4
                $0.maxSteps = 30
            })
        let losses = try await trainer.fit().losses
        #expect(losses[29] < 0.02 && losses[0] > 0.1, "\(losses[0]) to \(losses[29])")
    }
}
