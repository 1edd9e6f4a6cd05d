import Testing

@testable import RAGKit

@Suite struct NormalizationTests {
    @Test(arguments: [[1, 7], [5, 17], [2, 3, 33], [0, 4], [7, 2], [40]], [false, true])
    func layerNormMatchesTheLoop(shape: [Int], hasResidual: Bool) {
        var generator = SeededGenerator(seed: UInt64(shape.product))
        let width = shape[shape.count - 1]
        let inputs =
            [shape, [width], [width]].map { Tensor.random($0, using: &generator) }
            + (hasResidual ? [.random(shape, using: &generator)] : [])
        expectMatches(
            { values in
                let sum = hasResidual ? zip(values[0], values[3]).map { $0 + $1 } : values[0]
                return Naive.rows(sum, width: width).flatMap {
                    Naive.layerNorm($0, gain: values[1], bias: values[2], epsilon: 1e-5)
                }
            },
            { fusedLayerNorm($0, epsilon: 1e-5) }, at: inputs, seed: 1, relative: 2e-5,
            ofRootMeanSquare: 2e-5)
        for seed in 0..<UInt64(3) where width > 2 {
            expectGradient(of: { fusedLayerNorm($0, epsilon: 1e-5) }, at: inputs, seed: seed)
        }
    }

    @Test(
        arguments: [DropoutMask.none, DropoutMask(rate: 0.3, seed: 4, stream: 9)], [false, true])
    func layerNormIsTheCompositionOfPlainOperators(mask: DropoutMask, hasResidual: Bool) {
        var generator = SeededGenerator(seed: 3)
        let shapes = [[6, 19], [19], [19]] + (hasResidual ? [[6, 19]] : [])
        let inputs = shapes.map { Tensor.random($0, using: &generator) }
        expectSame(
            { fusedLayerNorm($0, epsilon: 1e-6, mask) },
            as: { x in
                let sum = hasResidual ? x[3] + x[0].dropout(mask) : x[0].dropout(mask)
                let centered = sum - sum.mean(axis: -1, keepingDimension: true)
                let variance = centered.squared().mean(axis: -1, keepingDimension: true)
                return centered * (variance + 1e-6).reciprocalSquareRoot() * x[1] + x[2]
            },
            at: inputs, seed: 2)
    }

    /// Of one element nothing is left but the bias, of equal elements too.
    @Test func rowsWithoutVariance() {
        let gain = Tensor([2], shape: [1])
        let bias = Tensor([5], shape: [1])
        let x = Tensor([3, -8], shape: [2, 1]).variable()
        let y = x.layerNorm(gain: gain, bias: bias, epsilon: 1e-5)
        #expect(y.elements == [5, 5])
        #expect(gradients(of: y, for: [x])[0].elements == [0, 0])
        let flat = Tensor.full([1, 20], 1000)
        let ones = Tensor.full([20], 1)
        #expect(flat.layerNorm(gain: ones, bias: ones, epsilon: 1e-12).elements == ones.elements)
    }

    /// Two passes keep the digits that the difference of mean square and squared mean would lose.
    @Test func aLargeMeanDoesNotDrownTheVariance() {
        var generator = SeededGenerator(seed: 5)
        let x = Tensor.random([3, 40], using: &generator) + 4096
        let ones = [Double](repeating: 1, count: 40)
        let zeros = [Double](repeating: 0, count: 40)
        expectClose(
            x.layerNorm(gain: .full([40], 1), bias: .zeros([40]), epsilon: 1e-5),
            Naive.rows(x.doubles, width: 40).flatMap {
                Naive.layerNorm($0, gain: ones, bias: zeros, epsilon: 1e-5)
            },
            relative: 1e-3, ofRootMeanSquare: 1e-3)
    }

    @Test(arguments: [[1, 1], [1, 7], [5, 17], [2, 3, 33], [0, 4]], 0..<UInt64(3))
    func rmsNormMatchesTheLoop(shape: [Int], seed: UInt64) {
        var generator = SeededGenerator(seed: seed)
        let width = shape[shape.count - 1]
        let x = Tensor.random(shape, using: &generator)
        let gain = Tensor.random([width], using: &generator)
        expectMatches(
            { values in
                Naive.rows(values[0], width: width).flatMap {
                    Naive.rmsNorm($0, gain: values[1], epsilon: 0.1)
                }
            },
            { $0[0].rmsNorm(gain: $0[1], epsilon: 0.1) }, at: [x, gain], seed: seed)
        expectGradient(of: { $0.rmsNorm(gain: $1, epsilon: 0.1) }, at: x, gain, seed: seed)
        expectSame(
            { $0[0].rmsNorm(gain: $0[1], epsilon: 0.1) },
            as: { x in
                let meanSquare = x[0].squared().mean(axis: -1, keepingDimension: true)
                return x[0] * (meanSquare + 0.1).reciprocalSquareRoot() * x[1]
            },
            at: [x, gain], seed: seed)
    }

    @Test(arguments: [[1], [1, 7], [5, 17], [2, 3, 33], [0, 4]], 0..<UInt64(3))
    func l2NormalizedHasLengthOne(shape: [Int], seed: UInt64) {
        var generator = SeededGenerator(seed: seed)
        let x = Tensor.random(shape, using: &generator)
        expectMatches(
            { values in
                Naive.rows(values[0], width: shape[shape.count - 1]).flatMap { row in
                    row.map { $0 / Naive.dot(row, row).squareRoot() }
                }
            },
            { $0[0].l2Normalized() }, at: [x], seed: seed)
        expectGradient(of: { $0.l2Normalized() }, at: x, seed: seed)
    }

    /// Rows shorter than epsilon are only scaled, and so is their gradient.
    @Test func shortRowsAreDividedByEpsilon() {
        let x = Tensor([0.3, 0.4, 3, 4, 0, 0], shape: [3, 2])
        expectClose(x.l2Normalized(epsilon: 2), [0.15, 0.2, 0.6, 0.8, 0, 0])
        expectMatches(
            { values in
                Naive.rows(values[0], width: 2).flatMap { row in
                    row.map { $0 / max(Naive.dot(row, row).squareRoot(), 2) }
                }
            },
            { $0[0].l2Normalized(epsilon: 2) }, at: [x], seed: 1)
        let zero = Tensor.zeros([1, 3]).variable()
        let y = zero.l2Normalized()
        #expect(y.elements == [0, 0, 0])
        #expect(gradients(of: y, for: [zero])[0].elements.allSatisfy { $0.isFinite })
    }
}

private func fusedLayerNorm(
    _ x: [Tensor], epsilon: Float, _ mask: DropoutMask = .none
) -> Tensor {
    x[0].layerNorm(
        gain: x[1], bias: x[2], epsilon: epsilon, residual: x.count > 3 ? x[3] : nil, dropout: mask)
}
