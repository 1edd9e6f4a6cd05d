import Testing

@testable import RAGKit

@Suite struct IndexingTests {
    @Test(arguments: [[], [3], [0, 0, 0], [4, 0, 2, 4, 4, 1, 0]] as [[Int32]], [1, 3, 17])
    func rowsMayRepeat(indices: [Int32], width: Int) {
        var generator = SeededGenerator(seed: UInt64(width))
        let x = Tensor.random([5, width], using: &generator)
        #expect(x.rows(indices).shape == [indices.count, width])
        expectMatches(
            { values in
                indices.flatMap { values[0][Int($0) * width..<(Int($0) + 1) * width] }
            },
            { $0[0].rows(indices) }, at: [x], seed: 1)
        expectGradient(of: { $0.rows(indices) }, at: x, seed: 1)
    }

    @Test func rowsOfAnyRank() {
        let x = Tensor.counting([3, 2, 2])
        #expect(x.rows([2, 0]).shape == [2, 2, 2])
        #expect(x.rows([2, 0]).elements == [8, 9, 10, 11, 0, 1, 2, 3])
        #expect(Tensor.counting([4]).rows([3, 3, 1]).elements == [3, 3, 1])
        expectGradient(of: { $0.rows([2, 0, 2]) }, at: x * 0.1, seed: 2)
    }

    @Test func theIgnoredRowGetsNoGradient() {
        let x = Tensor.counting([3, 2]).variable()
        let picked = x.rows([1, 0, 1, 2], ignoringGradientOf: 1)
        #expect(picked.elements == [2, 3, 0, 1, 2, 3, 4, 5])
        #expect(gradients(of: picked, for: [x])[0].elements == [1, 1, 0, 0, 1, 1])
        let none = x.rows([0, 2], ignoringGradientOf: 1)
        #expect(gradients(of: none, for: [x])[0].elements == [1, 1, 0, 0, 1, 1])
        let all = x.rows([1, 1], ignoringGradientOf: 1)
        #expect(gradients(of: all, for: [x])[0].elements == [0, 0, 0, 0, 0, 0])
    }

    @Test func rowsTakenTwiceAddUp() {
        let x = Tensor.counting([2, 1]).variable()
        let output = x.rows([0, 1, 1]).sum() + 10 * x.rows([0]).sum() + 100 * x.sum()
        #expect(gradients(of: output, for: [x])[0].elements == [111, 102])
    }

    @Test(arguments: [[], [1], [4], [2, 3]] as [[Int]], [1, 7])
    func elementsAt(leading: [Int], width: Int) {
        var generator = SeededGenerator(seed: 7)
        let x = Tensor.random(leading + [width], using: &generator)
        let indices = generator.ids(leading.product, below: width)
        #expect(x.elements(at: indices).shape == leading)
        expectMatches(
            { values in zip(Naive.rows(values[0], width: width), indices).map { $0[Int($1)] } },
            { $0[0].elements(at: indices) }, at: [x], seed: 3)
        expectGradient(of: { $0.elements(at: indices) }, at: x, seed: 3)
    }

    @Test(
        arguments: [[0], [0, 0], [0, 5], [0, 2, 2, 5], [0, 1, 2, 3, 4, 5], [0, 0, 5, 5]], [1, 17])
    func segmentMeans(offsets: [Int], width: Int) {
        var generator = SeededGenerator(seed: 8)
        let x = Tensor.random([offsets[offsets.count - 1], width], using: &generator)
        #expect(x.segmentMeans(offsets: offsets).shape == [offsets.count - 1, width])
        expectMatches(
            { values in
                zip(offsets, offsets.dropFirst()).flatMap { first, end in
                    (0..<width).map { column in
                        (first..<end).reduce(0) { $0 + values[0][$1 * width + column] }
                            / Double(max(end - first, 1))
                    }
                }
            },
            { $0[0].segmentMeans(offsets: offsets) }, at: [x], seed: 4)
        expectGradient(of: { $0.segmentMeans(offsets: offsets) }, at: x, seed: 4)
    }

    @Test func indicesOutOfRangeStop() async {
        await #expect(processExitsWith: .failure) { _ = Tensor.zeros([2, 3]).rows([2]) }
        await #expect(processExitsWith: .failure) { _ = Tensor.zeros([2, 3]).rows([-1]) }
        await #expect(processExitsWith: .failure) {
            _ = Tensor.zeros([2, 3]).elements(at: [0, 3])
        }
        await #expect(processExitsWith: .failure) {
            _ = Tensor.zeros([2, 3]).segmentMeans(offsets: [0, 3])
        }
    }
}
