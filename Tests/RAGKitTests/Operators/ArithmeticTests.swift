import Testing

@testable import RAGKit

/// Shapes that fit each other in every way: equal, a row, a column, a scalar, both sides repeated.
private let shapePairs: [([Int], [Int])] = [
    ([1], [1]), ([7], [7]), ([5, 17], [5, 17]), ([2, 3, 5], [2, 3, 5]),
    ([5, 17], [17]), ([17], [5, 17]), ([5, 17], [1, 17]), ([5, 17], [5, 1]), ([5, 1], [5, 17]),
    ([5, 17], []), ([], [5, 17]), ([5, 17], [1]), ([1, 1], [17]), ([], [1]),
    ([5, 1], [1, 3]), ([2, 3, 5], [3, 1]), ([2, 1, 5], [3, 1]), ([2, 3, 5], [2, 1, 1]),
    ([2, 3, 5], [2, 3, 1]), ([4, 1, 3, 1], [2, 1, 7]),
]

@Suite struct ArithmeticTests {
    @Test(arguments: shapePairs)
    func followsTheRuleForShapes(a: [Int], b: [Int]) {
        var generator = SeededGenerator(seed: UInt64(a.product * 31 + b.product))
        let inputs = [Tensor.random(a, using: &generator), .random(b, using: &generator)]
        let operators: [(String, (Tensor, Tensor) -> Tensor, (Double, Double) -> Double)] = [
            ("+", { $0 + $1 }, { $0 + $1 }), ("-", { $0 - $1 }, { $0 - $1 }),
            ("*", { $0 * $1 }, { $0 * $1 }), ("/", { $0 / $1 }, { $0 / $1 }),
        ]
        for (index, (name, function, plain)) in operators.enumerated() {
            let shape = function(inputs[0], inputs[1]).shape
            #expect(shape == naiveShape(a, b))
            expectMatches(
                { values in
                    zip(spread(values[0], a, to: shape), spread(values[1], b, to: shape)).map(plain)
                },
                { function($0[0], $0[1]) }, at: inputs, seed: UInt64(index))
            // Near 0.5 a quotient bends by 1.6e-3 within a step.
            expectGradient(
                of: function, at: inputs[0], inputs[1], seed: UInt64(index),
                tolerance: name == "/" ? 8e-3 : 1e-3)
        }
    }

    @Test(arguments: [
        ([0], [0]), ([0, 3], [3]), ([0, 3], [0, 1]), ([2, 0], [2, 1]), ([0], []),
    ])
    func emptyOperandsGiveEmptyResultsAndZeroGradients(a: [Int], b: [Int]) {
        for function: (Tensor, Tensor) -> Tensor in [
            { $0 + $1 }, { $0 - $1 }, { $0 * $1 }, { $0 / $1 },
        ] {
            let (x, y) = (Tensor.full(a, 2).variable(), Tensor.full(b, 3).variable())
            let result = function(x, y)
            #expect(result.count == 0 && result.shape == naiveShape(a, b))
            let found = gradients(of: result, for: [x, y])
            #expect(found.map(\.shape) == [a, b])
            #expect(found.allSatisfy { $0.elements.allSatisfy { $0 == 0 } })
        }
    }

    @Test(arguments: [[1], [7], [2, 3, 5], [33]])
    func numbersActOnEachElement(shape: [Int]) {
        var generator = SeededGenerator(seed: 5)
        let x = Tensor.random(shape, using: &generator)
        let functions: [((Tensor) -> Tensor, (Double) -> Double)] = [
            ({ $0 + 3 }, { $0 + 3 }), ({ 3 + $0 }, { 3 + $0 }), ({ $0 - 3 }, { $0 - 3 }),
            ({ 3 - $0 }, { 3 - $0 }), ({ $0 * 3 }, { $0 * 3 }), ({ 3 * $0 }, { 3 * $0 }),
            ({ $0 / 4 }, { $0 / 4 }), ({ 3 / $0 }, { 3 / $0 }), ({ -$0 }, { -$0 }),
            ({ $0.affine(scale: -2, offset: 7) }, { -2 * $0 + 7 }),
        ]
        for (index, (function, plain)) in functions.enumerated() {
            expectMatches(
                { $0[0].map(plain) }, { function($0[0]) }, at: [x], seed: UInt64(index))
            expectGradient(of: function, at: x, seed: UInt64(index), tolerance: 5e-3)
        }
    }

    @Test(arguments: shapePairs)
    func broadcastRepeatsAndItsGradientSums(shape: [Int], other: [Int]) {
        let target = naiveShape(shape, other)
        var generator = SeededGenerator(seed: 8)
        let x = Tensor.random(shape, using: &generator)
        expectMatches(
            { spread($0[0], shape, to: target) }, { $0[0].broadcast(to: target) }, at: [x], seed: 1)
        expectGradient(of: { $0.broadcast(to: target) }, at: x, seed: 1)
    }

    @Test func anOperandUsedTwiceGetsBothGradients() {
        let x = Tensor([3, -2], shape: [2]).variable()
        #expect(gradients(of: x * x, for: [x])[0].elements == [6, -4])
        #expect(gradients(of: x + x, for: [x])[0].elements == [2, 2])
        #expect(gradients(of: x - x, for: [x])[0].elements == [0, 0])
        #expect(gradients(of: x / x, for: [x])[0].elements.allSatisfy { abs($0) < 1e-6 })
    }

    @Test func shapesThatDoNotFitStop() async {
        await #expect(processExitsWith: .failure) { _ = Tensor.zeros([2, 3]) + .zeros([2]) }
        await #expect(processExitsWith: .failure) { _ = Tensor.zeros([2, 3]).broadcast(to: [2]) }
    }
}

/// The shape of the result: sizes from the end, where a 1 gives way.
private func naiveShape(_ a: [Int], _ b: [Int]) -> [Int] {
    let rank = max(a.count, b.count)
    return (0..<rank).map { axis in
        let i = axis - (rank - a.count)
        let j = axis - (rank - b.count)
        guard i >= 0 else { return b[j] }
        guard j >= 0 else { return a[i] }
        return a[i] == 1 ? b[j] : a[i]
    }
}

/// Element by element: the index in the target, with every repeated axis at 0.
private func spread(_ x: [Double], _ shape: [Int], to target: [Int]) -> [Double] {
    (0..<target.product).map { position in
        var rest = position
        var (offset, stride) = (0, 1)
        for axis in 0..<target.count {
            let index = rest % target[target.count - 1 - axis]
            rest /= target[target.count - 1 - axis]
            guard axis < shape.count else { continue }
            let size = shape[shape.count - 1 - axis]
            offset += (size == 1 ? 0 : index) * stride
            stride *= size
        }
        return x[offset]
    }
}
