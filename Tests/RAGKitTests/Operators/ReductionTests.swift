import Testing

@testable import RAGKit

private struct Reduction: Sendable, CustomTestStringConvertible {
    var name: String
    var apply: @Sendable (Tensor, Int, Bool) -> Tensor
    var plain: @Sendable ([Double]) -> Double

    var testDescription: String { name }
}

private let reductions = [
    Reduction(
        name: "sum", apply: { $0.sum(axis: $1, keepingDimension: $2) }, plain: { $0.reduce(0, +) }),
    Reduction(
        name: "mean", apply: { $0.mean(axis: $1, keepingDimension: $2) },
        plain: { $0.reduce(0, +) / Double($0.count) }),
    Reduction(
        name: "logSumExp", apply: { $0.logSumExp(axis: $1, keepingDimension: $2) },
        plain: Naive.logSumExp),
]

@Suite struct ReductionTests {
    @Test(
        arguments: reductions,
        [[1], [7], [5, 17], [2, 3, 5], [3, 1, 33], [1, 1], [2, 3, 4, 5]])
    fileprivate func reducesAlongEachAxis(reduction: Reduction, shape: [Int]) {
        var generator = SeededGenerator(seed: UInt64(shape.product))
        let x = Tensor.random(shape, using: &generator)
        for axis in shape.indices {
            for (keeps, given) in [(false, axis), (true, axis - shape.count)] {
                var target = shape
                if keeps { target[axis] = 1 } else { target.remove(at: axis) }
                #expect(reduction.apply(x, given, keeps).shape == target)
                expectMatches(
                    { Naive.runs($0[0], shape: shape, axis: axis).map(reduction.plain) },
                    { reduction.apply($0[0], given, keeps) }, at: [x], seed: UInt64(axis))
                expectGradient(
                    of: { reduction.apply($0, given, keeps) }, at: x, seed: UInt64(axis))
            }
        }
    }

    @Test(arguments: [[], [1], [7], [2, 3, 5], [4097]])
    func reducesEverything(shape: [Int]) {
        var generator = SeededGenerator(seed: 3)
        let x = Tensor.random(shape, using: &generator)
        #expect(x.sum().shape == [] && x.mean().shape == [])
        expectClose(x.sum(), [x.doubles.reduce(0, +)], relative: 1e-6)
        expectClose(x.mean(), [x.doubles.reduce(0, +) / Double(x.count)], relative: 1e-6)
        expectGradient(of: { $0.sum() }, at: x, seed: 1)
        expectGradient(of: { $0.mean() }, at: x, seed: 1)
    }

    @Test func theSumIsAddedUpInDouble() {
        // In Float32 every 1 would vanish beside 2^25.
        let ones = [Float](repeating: 1, count: 1000)
        let x = Tensor([33_554_432] + ones + [-33_554_432], shape: [1002])
        #expect(x.sum().item() == 1000)
    }

    @Test func emptyReductions() {
        #expect(Tensor.zeros([0]).sum().item() == 0)
        #expect(Tensor.zeros([0]).mean().item().isNaN)
        #expect(Tensor.zeros([0, 3]).sum(axis: 0).elements == [0, 0, 0])
        #expect(Tensor.zeros([0, 3]).sum(axis: 1).shape == [0])
        #expect(Tensor.zeros([2, 0]).logSumExp(axis: 1).elements == [-.infinity, -.infinity])
        #expect(Tensor.zeros([0, 3]).softmax().shape == [0, 3])
        let x = Tensor.zeros([0, 3]).variable()
        #expect(gradients(of: x.sum(axis: 0), for: [x])[0].shape == [0, 3])
        #expect(gradients(of: x.logSoftmax(), for: [x])[0].shape == [0, 3])
    }

    @Test(arguments: [[1], [1, 1], [5, 1], [7], [5, 17], [2, 3, 33]], 0..<UInt64(3))
    func softmaxAndItsLogarithm(shape: [Int], seed: UInt64) {
        var generator = SeededGenerator(seed: seed)
        let x = Tensor.random(shape, using: &generator)
        func each(_ function: ([Double]) -> [Double], _ x: [Double]) -> [Double] {
            Naive.rows(x, width: shape[shape.count - 1]).flatMap(function)
        }
        expectMatches({ each(Naive.softmax, $0[0]) }, { $0[0].softmax() }, at: [x], seed: seed)
        expectMatches(
            { each(Naive.logSoftmax, $0[0]) }, { $0[0].logSoftmax() }, at: [x], seed: seed)
        expectGradient(of: { $0.softmax() }, at: x, seed: seed)
        expectGradient(of: { $0.logSoftmax() }, at: x, seed: seed)
    }

    /// Inputs whose exponentials overflow, or all vanish.
    @Test(arguments: [Float(0), 90, 1e4, -1e4, 3e38])
    func largeInputsDoNotOverflow(shift: Float) {
        var generator = SeededGenerator(seed: 6)
        let x = Tensor.random([3, 17], using: &generator) + shift
        let rows = Naive.rows(x.doubles, width: 17)
        expectClose(x.softmax(), rows.flatMap(Naive.softmax), relative: 2e-5)
        // Float32 keeps a sum of this size with so many digits only.
        let rounding = Double(abs(shift)) * 6e-8
        expectClose(x.logSoftmax(), rows.flatMap(Naive.logSoftmax), absolute: rounding)
        expectClose(x.logSumExp(axis: 1), rows.map(Naive.logSumExp))
        let variable = x.variable()
        for output in [variable.softmax(), variable.logSoftmax(), variable.logSumExp(axis: 1)] {
            let cotangent = Tensor.random(output.shape, using: &generator)
            let found = gradients(of: output, for: [variable], cotangent: cotangent)[0]
            #expect(found.elements.allSatisfy { $0.isFinite })
        }
    }

    @Test func infinitiesInARow() {
        let low = -Float.infinity
        let x = Tensor([low, low, low, 1, low, 2], shape: [2, 3])
        #expect(x.softmax().elements.prefix(3) == [0, 0, 0])
        #expect(x.softmax().elements[4] == 0)
        #expect(x.logSumExp(axis: 1).elements[0] == low)
        expectClose(x.logSumExp(axis: 1).slice(1..<2), [Naive.logSumExp([1, 2])])
        #expect(x.logSoftmax().elements.prefix(3) == [low, low, low])
    }

    @Test(arguments: 0..<UInt64(20))
    func softmaxIgnoresAConstantShift(seed: UInt64) {
        var generator = SeededGenerator(seed: seed)
        let x = Tensor.random([4, 9], using: &generator)
        expectClose((x + 5).softmax(), x.softmax(), relative: 3e-6, ofRootMeanSquare: 1e-6)
        let sums = x.softmax().sum(axis: 1).elements
        #expect(sums.allSatisfy { abs($0 - 1) < 1e-6 })
    }

    @Test(arguments: [[1], [7], [5, 17], [2, 3, 33]])
    func theLargestElement(shape: [Int]) {
        var generator = SeededGenerator(seed: 4)
        let x = Tensor.random(shape, using: &generator)
        let rows = Naive.rows(x.doubles, width: shape[shape.count - 1])
        expectClose(x.max(), rows.map { $0.max() ?? 0 })
        #expect(x.max().shape == shape.dropLast())
        let places = rows.map { $0.firstIndex(of: $0.max() ?? 0) ?? -1 }
        #expect(x.maxIndices().map { Int($0) } == places)
        let variable = x.variable()
        let gradient = gradients(of: variable.max(), for: [variable])[0]
        expectClose(gradient, rows.flatMap { row in row.map { $0 == row.max() ? 1 : 0 } })
    }

    @Test func tiesGoToTheFirstAndNotANumberWins() {
        let x = Tensor([2, 7, 7, 1, .nan, 9, 3, 3, 3], shape: [3, 3])
        #expect(x.maxIndices() == [1, 1, 0])
        let wide = Tensor([Float](repeating: 5, count: 40), shape: [40])
        #expect(wide.maxIndices() == [0])
        #expect(Tensor.zeros([0, 4]).maxIndices() == [])
    }
}
