import Testing

@testable import RAGKit

@Suite struct ShapeTests {
    @Test func reshapedKeepsOrderAndSharesStorage() {
        let x = Tensor.counting([2, 6])
        let y = x.reshaped([3, 4])
        #expect(y.shape == [3, 4] && y.elements == x.elements)
        #expect(y.storage === x.storage)
        expectGradient(of: { $0.reshaped([3, 4]).squared() }, at: x * 0.1, seed: 1)
        #expect(Tensor.zeros([0, 4]).reshaped([2, 0]).shape == [2, 0])
    }

    @Test(arguments: [[1, 1], [1, 7], [7, 1], [5, 17], [33, 9], [0, 3], [3, 0]])
    func transposed(shape: [Int]) {
        var generator = SeededGenerator(seed: 2)
        let x = Tensor.random(shape, using: &generator)
        #expect(x.transposed().shape == [shape[1], shape[0]])
        expectMatches(
            { values in
                (0..<shape[1]).flatMap { c in (0..<shape[0]).map { values[0][$0 * shape[1] + c] } }
            },
            { $0[0].transposed() }, at: [x], seed: 2)
        expectGradient(of: { $0.transposed() }, at: x, seed: 2)
    }

    @Test(arguments: [
        ([3], [0]), ([2, 3], [1, 0]), ([2, 3, 5], [2, 0, 1]), ([2, 3, 5], [1, 2, 0]),
        ([2, 3, 5], [0, 2, 1]), ([2, 3, 4, 5], [0, 2, 1, 3]), ([2, 3, 4, 5], [3, 1, 0, 2]),
        ([2, 0, 5], [2, 0, 1]), ([], []), ([2, 3, 5], [-1, 0, -2]),
    ])
    func permuted(shape: [Int], axes: [Int]) {
        var generator = SeededGenerator(seed: 9)
        let x = Tensor.random(shape, using: &generator)
        let order = axes.map { $0 < 0 ? $0 + shape.count : $0 }
        #expect(x.permuted(axes).shape == order.map { shape[$0] })
        expectMatches(
            { naivePermuted($0[0], shape, order) }, { $0[0].permuted(axes) }, at: [x], seed: 3)
        expectGradient(of: { $0.permuted(axes) }, at: x, seed: 3)
    }

    @Test func movingAnAxisKeepsTheOrderOfTheOthers() {
        let x = Tensor.counting([2, 3, 5])
        expectIdentical(x.movingAxis(0, to: 2), x.permuted([1, 2, 0]))
        expectIdentical(x.movingAxis(2, to: 0), x.permuted([2, 0, 1]))
    }

    @Test(arguments: [0..<5, 0..<1, 1..<4, 4..<5, 2..<2, 5..<5])
    func slice(range: Range<Int>) {
        var generator = SeededGenerator(seed: 12)
        let x = Tensor.random([5, 3], using: &generator)
        #expect(x.slice(range).storage === x.storage)
        #expect(x.slice(range).shape == [range.count, 3])
        expectMatches(
            { Array($0[0][range.lowerBound * 3..<range.upperBound * 3]) },
            { $0[0].slice(range) }, at: [x], seed: 5)
        expectGradient(of: { $0.slice(range) }, at: x, seed: 5)
    }

    @Test func slicesOfSlicesCountFromTheSlice() {
        let x = Tensor.counting([6, 2]).slice(2..<6).slice(1..<3)
        #expect(x.elements == [6, 7, 8, 9])
        #expect((x * 2).elements == [12, 14, 16, 18])
        #expect(x.transposed().elements == [6, 8, 7, 9])
        #expect(x.rows([1]).elements == [8, 9])
    }

    /// Overlapping slices add up, also when the value is used in other ways.
    @Test func gradientsOfSlicesAddUp() {
        let x = Tensor.counting([4, 2]).variable()
        let output = x.slice(0..<3).sum() + 10 * x.slice(1..<4).sum() + 100 * x.slice(1..<2).sum()
        let gradient = gradients(of: output + 1000 * x.sum(), for: [x])[0]
        #expect(gradient.elements == [1001, 1001, 1111, 1111, 1011, 1011, 1010, 1010])
    }

    @Test func concatenated() {
        var generator = SeededGenerator(seed: 13)
        let parts = [[2, 3], [0, 3], [1, 3], [4, 3]].map { Tensor.random($0, using: &generator) }
        #expect(Tensor.concatenated(parts).shape == [7, 3])
        expectMatches({ $0.flatMap { $0 } }, { .concatenated($0) }, at: parts, seed: 6)
        expectGradient(of: { .concatenated($0) }, at: parts, seed: 6)
        expectIdentical(.concatenated([parts[0]]), parts[0])
    }

    @Test func oneTensorConcatenatedTwiceGetsBothGradients() {
        let x = Tensor.counting([2, 1]).variable()
        let both = Tensor.concatenated([x, x])
        let cotangent = Tensor([1, 2, 10, 20], shape: [4, 1])
        #expect(gradients(of: both, for: [x], cotangent: cotangent)[0].elements == [11, 22])
    }

    @Test func misfitsStop() async {
        await #expect(processExitsWith: .failure) { _ = Tensor.zeros([2, 3]).reshaped([5]) }
        await #expect(processExitsWith: .failure) { _ = Tensor.zeros([2, 3]).slice(1..<3) }
        await #expect(processExitsWith: .failure) { _ = Tensor.zeros([2, 3]).permuted([0, 0]) }
        await #expect(processExitsWith: .failure) {
            _ = Tensor.concatenated([.zeros([2, 3]), .zeros([2, 4])])
        }
    }
}

private func naivePermuted(_ x: [Double], _ shape: [Int], _ axes: [Int]) -> [Double] {
    let target = axes.map { shape[$0] }
    return (0..<target.product).map { position in
        var rest = position
        var source = [Int](repeating: 0, count: shape.count)
        for (size, axis) in zip(target, axes).reversed() {
            source[axis] = rest % size
            rest /= size
        }
        return x[zip(source, shape).reduce(0) { $0 * $1.1 + $1.0 }]
    }
}
