import Testing

@testable import RAGKit

@Suite struct ForwardContextTests {
    private static func mask(
        _ context: ForwardContext, path: String = "encoder.dropout", calls: Int = 1
    ) -> [Float] {
        let dropout = Dropout(0.5)
        dropout.namePaths(path)
        return ForwardContext.$scoped.withValue(context) {
            for _ in 1..<calls { _ = dropout(Tensor.full([1], 1)) }
            return dropout(Tensor.full([256], 1)).elements
        }
    }

    private static func training(
        seed: UInt64 = 1, step: Int = 2, microBatch: Int = 3
    ) -> ForwardContext {
        ForwardContext(isTraining: true, seed: seed, step: step, microBatch: microBatch)
    }

    @Test func theSameCallGivesTheSameMask() {
        #expect(Self.mask(Self.training()) == Self.mask(Self.training()))
        #expect(Self.mask(Self.training(), calls: 3) == Self.mask(Self.training(), calls: 3))
    }

    @Test func everythingElseGivesAnotherMask() {
        let masks = [
            Self.mask(Self.training()), Self.mask(Self.training(), path: "decoder.dropout"),
            Self.mask(Self.training(seed: 9)), Self.mask(Self.training(step: 9)),
            Self.mask(Self.training(microBatch: 9)), Self.mask(Self.training(), calls: 2),
            Self.mask(Self.training(), calls: 3), Self.mask(Self.training(step: 3, microBatch: 2)),
        ]
        #expect(Set(masks).count == masks.count)
    }

    @Test func streamsDoNotCollide() {
        var streams: Set<UInt64> = []
        for step in 0..<10 {
            for microBatch in 0..<10 {
                let context = Self.training(step: step, microBatch: microBatch)
                for path in ["a", "b", "a.b", "", "a.0", "a.1"] {
                    for _ in 0..<10 { streams.insert(context.stream(path)) }
                }
            }
        }
        #expect(streams.count == 10 * 10 * 6 * 10)
    }

    /// Calls of other modules do not shift a module's numbers.
    @Test func pathsAreCountedApart() {
        let (busy, quiet) = (Self.training(), Self.training())
        for _ in 0..<5 { _ = busy.stream("other") }
        #expect(busy.stream("mine") == quiet.stream("mine"))
    }

    @Test func evaluationDropsNothing() {
        let ones = [Float](repeating: 1, count: 256)
        #expect(Self.mask(ForwardContext()) == ones)
        #expect(Self.mask(.inference) == ones)
        #expect(!ForwardContext.current.isTraining && ForwardContext.current.recordsTape)
    }

    @Test func inferenceKeepsNoTape() {
        let x = Tensor(3).variable()
        let y = ForwardContext.$scoped.withValue(.inference) { x * x }
        #expect(!y.isRecorded && (x * x).isRecorded)
    }

    @Test func withoutGradientsKeepsTheRestOfTheContext() {
        ForwardContext.$scoped.withValue(Self.training()) {
            withoutGradients {
                #expect(ForwardContext.current.isTraining)
                #expect(ForwardContext.current.step == 2 && !ForwardContext.current.recordsTape)
            }
            #expect(ForwardContext.current.recordsTape)
        }
    }
}
