import Testing

@testable import RAGKit

/// Expects `function` to agree with `naive`, a plain loop in Double, element by element: the
/// results, and the gradient of every input under a random cotangent, which for the loop is found
/// with small steps in Double. Gradients that vanish may be `absolute` off, with inputs near 1.
func expectMatches(
    _ naive: ([[Double]]) -> [Double], _ function: ([Tensor]) -> Tensor, at inputs: [Tensor],
    seed: UInt64, relative: Double = 1e-5, ofRootMeanSquare: Double = 1e-5,
    absolute: Double = 2e-6, sourceLocation: SourceLocation = #_sourceLocation
) {
    var generator = SeededGenerator(seed: seed ^ 0x0E1E_3E17)
    let variables = inputs.map { $0.variable() }
    let output = function(variables)
    let values = inputs.map(\.doubles)
    expectClose(
        output, naive(values), relative: relative, ofRootMeanSquare: ofRootMeanSquare,
        "result, seed \(seed):", sourceLocation: sourceLocation)
    let cotangent = Tensor.random(output.shape, using: &generator)
    let found = gradients(of: output, for: variables, cotangent: cotangent)
    for index in inputs.indices {
        #expect(found[index].shape == inputs[index].shape, sourceLocation: sourceLocation)
        expectClose(
            found[index], steppedGradient(of: naive, at: values, index, cotangent.doubles),
            relative: relative, ofRootMeanSquare: ofRootMeanSquare,
            absolute: absolute, "gradient of input \(index), seed \(seed):",
            sourceLocation: sourceLocation)
    }
}

/// The gradient of `naive · cotangent` for each element of input `index`.
private func steppedGradient(
    of naive: ([[Double]]) -> [Double], at values: [[Double]], _ index: Int, _ cotangent: [Double]
) -> [Double] {
    let step = 1e-4
    return values[index].indices.map { element in
        func weighed(_ distance: Double) -> Double {
            var moved = values
            moved[index][element] += distance
            return zip(naive(moved), cotangent).reduce(0) { $0 + $1.0 * $1.1 }
        }
        return (weighed(step) - weighed(-step)) / (2 * step)
    }
}

/// Expects a fused operator to agree with a composition of plain ones: results, and the gradient of
/// every input under a random cotangent.
func expectSame(
    _ fused: ([Tensor]) -> Tensor, as composition: ([Tensor]) -> Tensor, at inputs: [Tensor],
    seed: UInt64, relative: Double = 1e-5, ofRootMeanSquare: Double = 1e-5,
    absolute: Double = 2e-6, sourceLocation: SourceLocation = #_sourceLocation
) {
    var generator = SeededGenerator(seed: seed ^ 0x5A3E_0F05)
    func walked(_ function: ([Tensor]) -> Tensor, _ cotangent: Tensor?) -> (Tensor, [Tensor]) {
        let variables = inputs.map { $0.variable() }
        let output = function(variables)
        return (output.detached, gradients(of: output, for: variables, cotangent: cotangent))
    }
    let shape = withoutGradients { composition(inputs).shape }
    let cotangent = Tensor.random(shape, using: &generator)
    let (expected, expectedGradients) = walked(composition, cotangent)
    let (actual, actualGradients) = walked(fused, cotangent)
    expectClose(
        actual, expected, relative: relative, ofRootMeanSquare: ofRootMeanSquare,
        "result, seed \(seed):", sourceLocation: sourceLocation)
    for (index, (a, e)) in zip(actualGradients, expectedGradients).enumerated() {
        expectClose(
            a, e, relative: relative, ofRootMeanSquare: ofRootMeanSquare,
            absolute: absolute, "gradient of input \(index), seed \(seed):",
            sourceLocation: sourceLocation)
    }
}
