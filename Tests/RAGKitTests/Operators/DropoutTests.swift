import RAGKitBLAS
import Testing

@testable import RAGKit

@Suite struct DropoutTests {
    private static let mask = DropoutMask(rate: 0.25, seed: 11, stream: 3)

    @Test func elementsAreDroppedOrScaled() {
        let x = Tensor.full([40_000], 3)
        let y = x.dropout(Self.mask).elements
        let kept = y.filter { $0 != 0 }
        #expect(kept.allSatisfy { abs($0 - 4) < 1e-6 })
        // 25 % of 40,000 with a standard deviation of 87.
        #expect(abs(y.count - kept.count - 10_000) < 440)
    }

    @Test(arguments: [Float(0.1), 0.5, 0.9])
    func theExpectedValueIsTheInput(rate: Float) {
        var sum = Tensor.zeros([64])
        for stream in 0..<UInt64(4000) {
            let mask = DropoutMask(rate: rate, seed: 1, stream: stream)
            sum = sum + Tensor.full([64], 1).dropout(mask)
        }
        let deviation = (rate / (1 - rate) / 4000).squareRoot()
        #expect((sum / 4000).elements.allSatisfy { abs($0 - 1) < 5 * deviation })
    }

    @Test func theMaskIsAFunctionOfSeedStreamAndElement() {
        let x = Tensor.full([1000], 1)
        let y = x.dropout(Self.mask)
        expectIdentical(x.dropout(Self.mask), y)
        expectIdentical(Tensor.full([7], 1).dropout(Self.mask), y.slice(0..<7))
        for other in [
            DropoutMask(rate: 0.25, seed: 12, stream: 3),
            DropoutMask(rate: 0.25, seed: 11, stream: 4),
        ] {
            let differing = zip(x.dropout(other).elements, y.elements).filter { $0 != $1 }.count
            // Independent masks differ in 2 · 0.25 · 0.75 of the elements.
            #expect(abs(differing - 375) < 80, "\(other)")
        }
    }

    @Test func rateZeroKeepsEverything() {
        let x = Tensor.counting([9])
        #expect(x.dropout(.none).storage === x.storage)
    }

    @Test(arguments: [[1], [7], [2, 3, 5], [0], [33]])
    func theGradientUsesTheSameMask(shape: [Int]) {
        var generator = SeededGenerator(seed: 5)
        let x = Tensor.random(shape, using: &generator)
        expectGradient(of: { $0.dropout(Self.mask) }, at: x, seed: 5)
        let ones = Tensor.full(shape, 1).variable()
        let y = ones.dropout(Self.mask)
        expectIdentical(gradients(of: y, for: [ones])[0], y.detached)
    }

    /// The fused forms drop the same elements as the plain one.
    @Test func layerNormDropsTheSameElements() {
        let x = Tensor.full([50, 20], 1)
        let gain = Tensor.full([20], 1)
        let bias = Tensor.zeros([20])
        expectIdentical(
            x.layerNorm(gain: gain, bias: bias, epsilon: 1e-5, dropout: Self.mask),
            x.dropout(Self.mask).layerNorm(gain: gain, bias: bias, epsilon: 1e-5))
    }

    /// In a process of its own, since the number of threads is the whole process's.
    @Test func theSameForAnyNumberOfThreads() async {
        await #expect(processExitsWith: .success) {
            let mask = DropoutMask(rate: 0.25, seed: 11, stream: 3)
            var generator = SeededGenerator(seed: 2)
            let x = Tensor.random([777, 129], using: &generator)
            let ones = Tensor.full([129], 1)
            let segments = SegmentMap(selfAttention: [0, 300, 301, 301, 777])
            func results() -> [Tensor] {
                let variable = x.variable()
                let outputs = [
                    variable.dropout(mask),
                    variable.layerNorm(
                        gain: ones, bias: ones, epsilon: 1e-5, residual: x, dropout: mask),
                    .attention(
                        variable, variable, variable, segments: segments, heads: 3, scale: 0.1,
                        dropout: mask),
                ]
                return outputs.flatMap {
                    [$0.detached] + gradients(of: $0, for: [variable], cotangent: x)
                }
            }
            ragkit_set_thread_count(1)
            let alone = results()
            for count in [2, 3, 5] {
                ragkit_set_thread_count(count)
                for (index, (found, expected)) in zip(results(), alone).enumerated() {
                    expectIdentical(found, expected, "\(count) threads, result \(index)")
                }
            }
        }
    }
}
