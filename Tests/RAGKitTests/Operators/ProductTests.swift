import Foundation
import Testing

@testable import RAGKit

@Suite struct ProductTests {
    @Test(
        arguments: [(1, 1, 1), (1, 7, 3), (5, 17, 3), (9, 1, 2), (33, 5, 9)],
        [(false, false), (true, false), (false, true), (true, true)])
    func matmulWithEveryTranspose(sizes: (Int, Int, Int), flags: (Bool, Bool)) {
        let ((m, k, n), (first, second)) = (sizes, flags)
        var generator = SeededGenerator(seed: UInt64(m * k * n))
        let a = Tensor.random(first ? [k, m] : [m, k], using: &generator)
        let b = Tensor.random(second ? [n, k] : [k, n], using: &generator)
        let function: ([Tensor]) -> Tensor = {
            $0[0].matmul($0[1], transposed: first, otherTransposed: second)
        }
        #expect(function([a, b]).shape == [m, n])
        expectMatches(
            {
                Naive.matmul(
                    $0[0], $0[1], m: m, k: k, n: n, transposed: first, otherTransposed: second)
            },
            function, at: [a, b], seed: 1)
        expectGradient(of: function, at: [a, b], seed: 1)
    }

    @Test(
        arguments: [1, 3], [(false, false), (true, false), (false, true), (true, true)])
    func batchedMatmul(batch: Int, flags: (Bool, Bool)) {
        let (m, k, n) = (5, 7, 3)
        let (first, second) = flags
        var generator = SeededGenerator(seed: 4)
        let a = Tensor.random([batch] + (first ? [k, m] : [m, k]), using: &generator)
        let b = Tensor.random([batch] + (second ? [n, k] : [k, n]), using: &generator)
        let function: ([Tensor]) -> Tensor = {
            $0[0].matmul($0[1], transposed: first, otherTransposed: second)
        }
        #expect(function([a, b]).shape == [batch, m, n])
        expectMatches(
            { values in
                (0..<batch).flatMap { index in
                    Naive.matmul(
                        Array(values[0][index * m * k..<(index + 1) * m * k]),
                        Array(values[1][index * k * n..<(index + 1) * k * n]), m: m, k: k, n: n,
                        transposed: first, otherTransposed: second)
                }
            },
            function, at: [a, b], seed: 2)
        expectGradient(of: function, at: [a, b], seed: 2)
    }

    @Test(arguments: [
        ([0, 3], [3, 2]), ([2, 0], [0, 3]), ([2, 3], [3, 0]), ([0, 2, 3], [0, 3, 2]),
    ])
    func emptyProducts(a: [Int], b: [Int]) {
        let (x, y) = (Tensor.full(a, 2).variable(), Tensor.full(b, 3).variable())
        let product = x.matmul(y)
        #expect(product.shape == a.dropLast() + [b[b.count - 1]])
        #expect(product.elements.allSatisfy { $0 == 0 })
        let found = gradients(of: product, for: [x, y])
        #expect(found.map(\.shape) == [a, b])
        #expect(found.allSatisfy { $0.elements.allSatisfy { $0 == 0 } })
    }

    @Test(arguments: [[1], [17], [5, 17], [2, 3, 33], [0, 4]])
    func dotRows(shape: [Int]) {
        var generator = SeededGenerator(seed: 3)
        let inputs = [shape, shape].map { Tensor.random($0, using: &generator) }
        let width = shape[shape.count - 1]
        expectMatches(
            { values in
                zip(Naive.rows(values[0], width: width), Naive.rows(values[1], width: width))
                    .map { Naive.dot($0, $1) }
            },
            { $0[0].dotRows($0[1]) }, at: inputs, seed: 3)
        expectGradient(of: { $0.dotRows($1) }, at: inputs[0], inputs[1], seed: 3)
    }

    @Test func misfitsStop() async {
        await #expect(processExitsWith: .failure) {
            _ = Tensor.zeros([2, 3]).matmul(.zeros([2, 3]))
        }
        await #expect(processExitsWith: .failure) {
            _ = Tensor.zeros([2, 2, 3]).matmul(.zeros([3, 3, 2]))
        }
        await #expect(processExitsWith: .failure) {
            _ = Tensor.zeros([2, 3]).linear(.zeros([4, 2]))
        }
        await #expect(processExitsWith: .failure) {
            _ = Tensor.zeros([2, 3]).linear(.zeros([4, 3]), bias: .zeros([3]))
        }
        await #expect(processExitsWith: .failure) { _ = Tensor.zeros([2, 3]).dotRows(.zeros([3])) }
    }
}

private let activations: [(Activation, @Sendable (Double) -> Double)] = [
    (.identity, { $0 }), (.relu, { max($0, 0) }), (.gelu, Naive.gelu), (.geluTanh, Naive.geluTanh),
    (.silu, { $0 * Naive.sigmoid($0) }), (.tanh, { Foundation.tanh($0) }),
    (.sigmoid, Naive.sigmoid),
]

@Suite struct LinearTests {
    @Test(arguments: activations.indices, [true, false])
    func everyActivationWithAndWithoutBias(index: Int, hasBias: Bool) {
        let (activation, plain) = activations[index]
        for (leading, inputs, outputs) in [([1], 1, 1), ([5], 7, 17), ([2, 3], 4, 9), ([], 3, 5)] {
            let rows = leading.product
            // Sums near ±2 stay clear of the kink that relu has at 0.
            var generator = SeededGenerator(seed: 40)
            var tensors = [Tensor.random(leading + [inputs], using: &generator)]
            tensors.append(Tensor.random([outputs, inputs], using: &generator) * 0.1)
            if hasBias { tensors.append(Tensor.random([outputs], using: &generator) * 2) }
            let function: ([Tensor]) -> Tensor = {
                $0[0].linear($0[1], bias: $0.count > 2 ? $0[2] : nil, activation: activation)
            }
            #expect(function(tensors).shape == leading + [outputs])
            let isNearKink =
                activation == .relu
                && tensors[0].linear(tensors[1], bias: hasBias ? tensors[2] : nil)
                    .elements.contains { abs($0) < 0.05 }
            guard !isNearKink else { continue }
            expectMatches(
                { values in
                    let product = Naive.matmul(
                        values[0], values[1], m: rows, k: inputs, n: outputs, otherTransposed: true)
                    return product.indices.map { position in
                        plain(product[position] + (hasBias ? values[2][position % outputs] : 0))
                    }
                },
                function, at: tensors, seed: 1)
            // A step moves all weights of a sum at once, and the activation bends under it.
            expectGradient(
                of: function, at: tensors, seed: 1,
                tolerance: activation == .identity ? 1e-3 : 5e-3)
        }
    }

    @Test(arguments: activations.indices)
    func isTheCompositionOfPlainOperators(index: Int) {
        let activation = activations[index].0
        var generator = SeededGenerator(seed: 41)
        let tensors = [[9, 33], [18, 33], [18]].map { Tensor.random($0, using: &generator) }
        expectSame(
            { $0[0].linear($0[1], bias: $0[2], activation: activation) },
            as: { ($0[0].matmul($0[1], otherTransposed: true) + $0[2]).activated(activation) },
            at: tensors, seed: 2)
        expectSame(
            { $0[0].linear($0[1], activation: activation) },
            as: { $0[0].matmul($0[1].transposed()).activated(activation) },
            at: [tensors[0], tensors[1]], seed: 3)
    }

    /// A weight used twice, and an input used elsewhere too: in-place sums must start from what is
    /// there.
    @Test func gradientsAddUpInPlace() {
        var generator = SeededGenerator(seed: 42)
        let tensors = [[4, 5], [5, 5], [5]].map { Tensor.random($0, using: &generator) }
        expectSame(
            { x in
                let once = x[0].linear(x[1], bias: x[2], activation: .tanh)
                return once.linear(x[1], bias: x[2]) + x[0]
            },
            as: { x in
                let once = (x[0].matmul(x[1].transposed()) + x[2]).tanh()
                return once.matmul(x[1].transposed()) + x[2] + x[0]
            },
            at: tensors, seed: 4)
    }

    @Test func noRows() {
        let tensors = [[0, 3], [4, 3], [4]].map { Tensor.full($0, 1).variable() }
        let y = tensors[0].linear(tensors[1], bias: tensors[2], activation: .gelu)
        #expect(y.shape == [0, 4])
        let found = gradients(of: y, for: tensors)
        #expect(found.map(\.shape) == [[0, 3], [4, 3], [4]])
        #expect(found.allSatisfy { $0.elements.allSatisfy { $0 == 0 } })
    }
}
