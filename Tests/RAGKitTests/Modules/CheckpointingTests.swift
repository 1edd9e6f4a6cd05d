import Synchronization
import Testing

@testable import RAGKit

/// Parts that keep only what goes in.
@Suite struct CheckpointingTests {
    /// Loss and gradients of a model while training, with and without.
    private func run(
        _ isOn: Bool, _ model: Module, precision: Precision = .float32, _ loss: () throws -> Tensor
    ) rethrows -> (Tensor, [Tensor?]) {
        let context = ForwardContext(
            isTraining: true, seed: 3, step: 2, precision: precision,
            checkpointsActivations: isOn)
        return try ForwardContext.$scoped.withValue(context) {
            let value = try loss()
            let found = gradients(of: value, for: model.parameters())
            return (value.detached, model.parameters().map { found[$0] })
        }
    }

    private func expectSame(
        _ model: Module, precision: Precision = .float32, relative: Double = 0,
        _ loss: () throws -> Tensor
    ) rethrows {
        let (plain, expected) = try run(false, model, precision: precision, loss)
        let (value, found) = try run(true, model, precision: precision, loss)
        expectIdentical(value, plain, "loss")
        for ((name, _), pair) in zip(model.namedParameters(), zip(found, expected)) {
            #expect((pair.0 == nil) == (pair.1 == nil), "\(name)")
            if let found = pair.0, let expected = pair.1 {
                expectClose(
                    found, expected, relative: relative, ofRootMeanSquare: relative, "\(name)")
            }
        }
    }

    /// Every bit of every gradient, with dropout on: BERT twice and BART, through the RAG loss.
    @Test(arguments: [Marginalization.token, .sequence], [Precision.float32, .bfloat16])
    func gradientsOfRagAreTheSame(kind: Marginalization, precision: Precision) throws {
        let model = try TinyRag.model(kind, dropout: 0.3)
        try expectSame(model, precision: precision) { try TinyRag.loss(model).sum }
    }

    /// T5, whose relative bias and memory are inputs of every layer: their gradients are added up in
    /// another order.
    @Test func gradientsOfT5AreTheSame() {
        var config = TinyModels.t5
        config.dropoutRate = 0.3
        let model = T5Generator(configuration: config)
        model.randomize(seed: 4)
        expectSame(model, relative: 1e-5) {
            let memory = model.encode(TokenBatch([[3, 4, 5], [6, 7]]))
            let states = model.decode(
                TokenBatch([[1, 5], [1, 8, 9]]), memory, attending: [[0], [0, 1]])
            return model.projection.logProbabilities(states, targets: [5, 2, 8, 9, 2]).target.sum()
        }
    }

    /// Storages that a tape holds are fewer: of each layer only its input and what it returns.
    @Test func aTapeHoldsLess() async {
        await #expect(processExitsWith: .success) {
            func held(_ isOn: Bool) -> Int {
                var config = TinyModels.bert
                config.numHiddenLayers = 6
                let model = BertModel(config)
                model.randomize(seed: 1)
                let context = ForwardContext(isTraining: true, checkpointsActivations: isOn)
                return ForwardContext.$scoped.withValue(context) {
                    let start = StoragePool.live.load(ordering: .relaxed)
                    let states = model(TokenBatch([[1, 2, 3]]))
                    defer { withExtendedLifetime(states) {} }
                    return StoragePool.live.load(ordering: .relaxed) - start
                }
            }
            let (all, few) = (held(false), held(true))
            #expect(few <= all - 6 * 8 && few > 6, "\(few) of \(all)")
        }
    }

    /// What the body uses without its being an input would get no gradient: that stops.
    @Test func aForgottenInputStops() async {
        await #expect(processExitsWith: .failure) {
            let (x, forgotten) = (Tensor.full([2], 1).variable(), Tensor.full([2], 3).variable())
            let context = ForwardContext(checkpointsActivations: true)
            ForwardContext.$scoped.withValue(context) {
                let y = Dropout(0).checkpointed([x]) { $0[0] * forgotten }
                _ = gradients(of: y.sum(), for: [x, forgotten])
            }
        }
    }

    /// Without the option, and without a tape, the body runs once and as it is.
    @Test func offByDefault() {
        var calls = 0
        let x = Tensor.full([2], 2).variable()
        func once() -> Tensor {
            Dropout(0).checkpointed([x]) {
                calls += 1
                return $0[0] * $0[0]
            }
        }
        #expect(gradients(of: once().sum(), for: [x])[0].elements == [4, 4])
        #expect(calls == 1)
        ForwardContext.$scoped.withValue(.init(checkpointsActivations: true)) {
            #expect(gradients(of: once().sum(), for: [x])[0].elements == [4, 4])
            #expect(calls == 3)
            withoutGradients { #expect(once().elements == [4, 4]) }
            #expect(calls == 4)
        }
    }

    /// The trainer's option: losses of whole runs are the same numbers.
    @Test func trainingArguments() async throws {
        func losses(_ isOn: Bool) async throws -> [Double] {
            let model = try TinyRag.model(dropout: 0.2)
            let arguments = TrainingArguments.plain {
                $0.maxSteps = 3
                $0.gradientCheckpointing = isOn
            }
            return try await Trainer(
                RagTrainingTask(model), examples: TinyRag.examples, arguments: arguments
            ).fit().losses
        }
        #expect(try await losses(true) == losses(false))
    }
}
