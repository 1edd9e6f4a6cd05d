import Testing

@testable import RAGKit

/// The point of the library: the loss's gradient reaches the context encoder behind the index.
@Suite struct EndToEndGradientTests {
    /// Each part, against small steps of the whole RAG loss along random unit directions over all
    /// of the part's parameters, and along the gradient itself.
    @Test(arguments: [Marginalization.token, .sequence], [Float(0), 0.1])
    func gradientsAreTheLossesSlopes(kind: Marginalization, smoothing: Float) throws {
        let model = try TinyRag.model(kind)
        let context = try #require(model.contextEncoder)
        let found = gradients(
            of: try TinyRag.loss(model, smoothing: smoothing).sum, for: model.parameters())
        let parts: [(String, Module)] = [
            ("context encoder", context), ("question encoder", model.questionEncoder),
            ("generator", model.generator),
        ]
        for (name, part) in parts {
            let parameters = part.parameters()
            let analytic = try parameters.map { try #require(found[$0], "\(name)").doubles }
            let size = length(analytic)
            #expect(size > 0.05, "\(name): the gradient is of some size, \(size)")
            var numbers = SeededGenerator(seed: 5)
            var directions = [analytic.map { $0.map { $0 / size } }]
            for _ in 0..<3 {
                let random = parameters.map { parameter in
                    (0..<parameter.shape.product).map { _ in numbers.nextNormal() }
                }
                let norm = length(random)
                directions.append(random.map { $0.map { $0 / norm } })
            }
            let count = Double(analytic.reduce(0) { $0 + $1.count })
            for (index, direction) in directions.enumerated() {
                // A random direction meets the gradient at a cosine near 1/√n.
                let root = index == 0 ? 1 : count.squareRoot()
                let step = index == 0 ? 0.02 / max(1, size / 4) : 3e-3 * root
                func difference(_ distance: Double) throws -> Double {
                    try moved(model, parameters, direction, by: distance, smoothing)
                        - moved(model, parameters, direction, by: -distance, smoothing)
                }
                // Two distances, so that the loss's curvature drops out up to the fourth order.
                let numeric = try (8 * difference(step) - difference(2 * step)) / (12 * step)
                let expected = zip(analytic, direction).reduce(0) { sum, pair in
                    sum + zip(pair.0, pair.1).reduce(0) { $0 + $1.0 * $1.1 }
                }
                let error = abs(expected - numeric) * root / size
                #expect(
                    error < (index == 0 ? 0.005 : 0.02),
                    "\(name), direction \(index): \(expected), steps say \(numeric), off \(error)")
            }
        }
    }

    @Test(arguments: [Marginalization.token, .sequence])
    func withoutContextEncoderNothingReachesIt(kind: Marginalization) throws {
        let model = try TinyRag.model(kind, endToEnd: false)
        let context = TinyRag.encoder(
            .context, vocabulary: model.questionTokenizer.vocabularySize, seed: 3)
        let found = gradients(
            of: try TinyRag.loss(model).sum, for: model.parameters() + context.parameters())
        for (name, parameter) in context.namedParameters() {
            #expect(found[parameter] == nil, "\(name)")
        }
        for (name, parameter) in model.namedParameters() {
            #expect(found[parameter] != nil, "\(name)")
        }
    }

    /// Scores that do not come from the context encoder leave it alone.
    @Test func callersScoresReachNoEncoder() throws {
        let model = try TinyRag.model()
        let context = try #require(model.contextEncoder)
        let scores: [[Float]] = [[1, 2, 3], [0, 0, 0], [-1, 4, 2]]
        let found = gradients(
            of: try TinyRag.loss(model, scores: scores).sum, for: model.parameters())
        for parameter in context.parameters() + model.questionEncoder.parameters() {
            #expect(found[parameter] == nil)
        }
        #expect(model.generator.parameters().allSatisfy { found[$0] != nil })
    }

    private func length(_ parts: [[Double]]) -> Double {
        parts.reduce(0) { $0 + $1.reduce(0) { $0 + $1 * $1 } }.squareRoot()
    }

    /// The loss, summed in Double, after a step along `direction`; the parameters stay.
    private func moved(
        _ model: RagModel, _ parameters: [Parameter], _ direction: [[Double]], by step: Double,
        _ smoothing: Float
    ) throws -> Double {
        let values = parameters.map(\.value)
        defer { for (parameter, value) in zip(parameters, values) { parameter.update(value) } }
        for (index, parameter) in parameters.enumerated() {
            let elements = zip(values[index].doubles, direction[index]).map {
                Float($0 + step * $1)
            }
            parameter.update(Tensor(elements, shape: parameter.shape))
        }
        return try ForwardContext.$scoped.withValue(.inference) {
            try TinyRag.loss(model, smoothing: smoothing).perExample.doubles.reduce(0, +)
        }
    }
}
