import Foundation
import RAGKitBLAS
import Testing

extension KernelTests {
    /// Bias and activation, as they are done while a part of a product is in cache, against the product
    /// and what comes after it: every bit is the same.
    @Suite(.serialized) struct LinearLayers {
        private static let shapes = [
            (0, 3, 4), (3, 0, 4), (3, 4, 0), (1, 7, 16), (5, 33, 64), (40, 100, 70),
            (300, 129, 100), (60, 2200, 700), (700, 300, 650), (100, 40, 900),
        ]

        /// x · weightᵀ by way of a pack in `format`, or of the weight as it lies.
        private func multiply(
            _ format: Int32?, _ m: Int, _ n: Int, _ k: Int, _ weight: [Float],
            packed: (UnsafeRawPointer) -> Void, plain: () -> Void
        ) {
            guard let format else { return plain() }
            let pack = UnsafeMutableRawPointer.allocate(
                byteCount: ragkit_pack_bytes(format, k, n), alignment: 64)
            defer { pack.deallocate() }
            ragkit_pack(format, true, k, n, weight, k, pack)
            packed(pack)
        }

        private func check(
            _ format: Int32?, _ m: Int, _ n: Int, _ k: Int, alpha: Float = 1, bias: [Float]?,
            _ function: Int32, isApart: Bool, _ name: String
        ) {
            var random = TestRandom(UInt64(m + n + k))
            let x = random.floats(m * k), weight = random.floats(n * k)
            var sum = [Float](repeating: .nan, count: m * n)
            multiply(format, m, n, k, weight) {
                ragkit_gemm_packed(m, alpha, x, k, $0, 0, &sum, n)
            } plain: {
                ragkit_gemm(false, true, m, n, k, alpha, x, k, weight, k, 0, &sum, n)
            }
            if let bias { for i in 0..<m * n { sum[i] += bias[i % n] } }
            var expected = sum
            ragkit_map(m * n, function, sum, &expected)

            var pre = [Float](repeating: .nan, count: m * n), y = pre
            y.withUnsafeMutableBufferPointer { y in
                pre.withUnsafeMutableBufferPointer { apart in
                    let pre = isApart ? apart : y
                    multiply(format, m, n, k, weight) {
                        ragkit_linear_packed(
                            m, alpha, x, $0, bias, function, pre.baseAddress, y.baseAddress)
                    } plain: {
                        ragkit_linear(
                            m, n, k, alpha, x, weight, bias, function, pre.baseAddress,
                            y.baseAddress)
                    }
                }
            }
            // Compared first: a failure would print all numbers.
            let isSame = y == expected && (!isApart || pre == sum)
            #expect(isSame, "\(name), format \(format ?? -1), \(m)x\(n)x\(k)")
        }

        @Test(.tags(.slow), .unlessFast) func againstProductBiasAndMap() {
            var random = TestRandom(8)
            let bias = random.floats(3000)
            atEachLevel { level in
                for threads in [1, 3] {
                    let usual = ragkit_thread_count()
                    defer { ragkit_set_thread_count(usual) }
                    ragkit_set_thread_count(threads)
                    let name = "level \(level), \(threads) threads"
                    let formats = [nil, RAGKIT_FLOAT32, RAGKIT_BFLOAT16, RAGKIT_INT8].map {
                        $0.map { Int32($0) }
                    }
                    for (m, n, k) in Self.shapes {
                        for format in formats {
                            check(
                                format, m, n, k, bias: bias, Int32(RAGKIT_GELU), isApart: true, name
                            )
                            check(
                                format, m, n, k, bias: nil, Int32(RAGKIT_RELU), isApart: false, name
                            )
                            check(
                                format, m, n, k, alpha: 0.7, bias: bias, Int32(RAGKIT_IDENTITY),
                                isApart: false, name)
                            check(
                                format, m, n, k, bias: nil, Int32(RAGKIT_TANH), isApart: true, name)
                        }
                    }
                }
            }
        }
    }
}
