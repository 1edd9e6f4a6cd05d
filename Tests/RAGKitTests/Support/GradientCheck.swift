import Testing

@testable import RAGKit

/// Expects the gradient of `function` at `inputs` to be what small steps say it is.
///
/// For each input with `n` elements a random unit direction `v` is followed for a step of `1e-2·√n`
/// both ways, and the output is weighed with a random unit cotangent `w`, in Double. A right
/// gradient stays far under the tolerance with inputs near 1; an error of one percent does not.
/// The cotangent is never all ones, which would hide a wrong softmax.
func expectGradient(
    of function: ([Tensor]) -> Tensor, at inputs: [Tensor], seed: UInt64,
    tolerance: Double = 1e-3, sourceLocation: SourceLocation = #_sourceLocation
) {
    var generator = SeededGenerator(seed: seed ^ 0xD1EC_7104)
    let variables = inputs.map { $0.variable() }
    let output = function(variables)
    let cotangent = Tensor.randomDirection(output.shape, using: &generator)
    let analytic = gradients(of: output, for: variables, cotangent: cotangent)
    for (index, input) in inputs.enumerated() {
        #expect(
            analytic[index].shape == input.shape, "gradient of input \(index)",
            sourceLocation: sourceLocation)
        guard input.count > 0 else { continue }
        let direction = Tensor.randomDirection(input.shape, using: &generator)
        let root = Double(input.count).squareRoot()
        let step = 1e-2 * root
        func weighed(after distance: Double) -> Double {
            var moved = inputs
            let elements = zip(input.doubles, direction.doubles).map { Float($0 + distance * $1) }
            moved[index] = Tensor(elements, shape: input.shape)
            return dot(function(moved), cotangent)
        }
        let numeric = (weighed(after: step) - weighed(after: -step)) / (2 * step)
        let error = abs(dot(analytic[index], direction) - numeric) * root
        if !(error < tolerance) {
            Issue.record(
                """
                gradient of input \(index), shape \(input.shape), seed \(seed): \
                \(dot(analytic[index], direction)), steps say \(numeric); error times √n is \
                \(error), allowed \(tolerance)
                """,
                sourceLocation: sourceLocation)
        }
    }
}

/// The same for a function of one tensor.
func expectGradient(
    of function: (Tensor) -> Tensor, at input: Tensor, seed: UInt64, tolerance: Double = 1e-3,
    sourceLocation: SourceLocation = #_sourceLocation
) {
    expectGradient(
        of: { function($0[0]) }, at: [input], seed: seed, tolerance: tolerance,
        sourceLocation: sourceLocation)
}

/// The same for a function of two tensors.
func expectGradient(
    of function: (Tensor, Tensor) -> Tensor, at first: Tensor, _ second: Tensor, seed: UInt64,
    tolerance: Double = 1e-3, sourceLocation: SourceLocation = #_sourceLocation
) {
    expectGradient(
        of: { function($0[0], $0[1]) }, at: [first, second], seed: seed, tolerance: tolerance,
        sourceLocation: sourceLocation)
}

/// The same for a function of three tensors.
func expectGradient(
    of function: (Tensor, Tensor, Tensor) -> Tensor, at first: Tensor, _ second: Tensor,
    _ third: Tensor, seed: UInt64, tolerance: Double = 1e-3,
    sourceLocation: SourceLocation = #_sourceLocation
) {
    expectGradient(
        of: { function($0[0], $0[1], $0[2]) }, at: [first, second, third], seed: seed,
        tolerance: tolerance, sourceLocation: sourceLocation)
}

/// The inner product of all elements, in Double.
func dot(_ a: Tensor, _ b: Tensor) -> Double {
    zip(a.doubles, b.doubles).reduce(0) { $0 + $1.0 * $1.1 }
}
