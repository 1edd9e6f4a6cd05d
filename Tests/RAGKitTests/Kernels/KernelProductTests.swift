import Foundation
import RAGKitBLAS
import Testing

private typealias Gemm = (
    Bool, Bool, Int, Int, Int, Float, UnsafePointer<Float>?, Int, UnsafePointer<Float>?, Int, Float,
    UnsafeMutablePointer<Float>?, Int
) -> Void

private func check(
    _ gemm: Gemm, _ transposeA: Bool, _ transposeB: Bool, _ m: Int, _ n: Int, _ k: Int, beta: Float,
    seed: UInt64, name: String
) {
    var random = TestRandom(seed)
    let lda = (transposeA ? m : k) + 3, ldb = (transposeB ? k : n) + 2, ldc = n + 1
    let a = random.floats((transposeA ? k : m) * lda), b = random.floats((transposeB ? n : k) * ldb)
    // beta = 0 must not read what is there
    let start = beta == 0 ? [Float](repeating: .nan, count: m * ldc) : random.floats(m * ldc)
    var c = start
    gemm(transposeA, transposeB, m, n, k, 0.5, a, lda, b, ldb, beta, &c, ldc)
    var found: [Float] = [], expected: [Double] = []
    // every element of small products, a sample of large ones
    let sampled = m * n > 4000
    for _ in 0..<(sampled ? 4000 : m * n) {
        let index = sampled ? random.int(m * n) : found.count
        let i = index / n, j = index % n
        let product = summed(k) { p in
            let x = transposeA ? a[p * lda + i] : a[i * lda + p]
            let y = transposeB ? b[j * ldb + p] : b[p * ldb + j]
            return Double(x) * Double(y)
        }
        found.append(c[i * ldc + j])
        expected.append(0.5 * product + (beta == 0 ? 0 : Double(beta) * Double(start[i * ldc + j])))
    }
    expectClose(
        found, expected, relative: 1e-5, absolute: 1e-6 * Double(k).squareRoot() + 3e-7,
        "\(name) \(transposeA) \(transposeB) \(m)x\(n)x\(k) beta \(beta)")
    // the column between the rows stays
    #expect((0..<m).allSatisfy { c[$0 * ldc + n].bitPattern == start[$0 * ldc + n].bitPattern })
}

extension KernelTests {
    @Suite(.serialized) struct Products {
        static let shapes = [
            (0, 3, 4), (3, 0, 4), (3, 4, 0), (1, 1, 1), (1, 7, 16), (5, 3, 17), (4, 9, 33),
            (8, 100, 100), (9, 33, 64),
            (20, 50, 30), (64, 64, 64), (3, 500, 300), (2, 700, 65), (20, 700, 256), (130, 250, 70),
            (257, 129, 100),
            (1, 1, 1003), (1003, 1, 7), (40, 2000, 96), (16, 3000, 64), (2000, 16, 64),
            (1, 4000, 300), (31, 1003, 333), (7, 205, 120), (6, 70, 256), (3, 131, 257),
        ]

        @Test(.tags(.slow), .unlessFast) func againstTheDefinition() {
            atEachLevel { level in
                for threads in [1, 3] {
                    let usual = ragkit_thread_count()
                    defer { ragkit_set_thread_count(usual) }
                    ragkit_set_thread_count(threads)
                    for (i, (m, n, k)) in Self.shapes.enumerated() {
                        for (ta, tb) in [
                            (false, false), (false, true), (true, false), (true, true),
                        ] {
                            for beta: Float in [0, 1, -0.5] {
                                let name = "level \(level), \(threads) threads:"
                                check(
                                    ragkit_gemm, ta, tb, m, n, k, beta: beta, seed: UInt64(i),
                                    name: name)
                                guard threads == 1 else { continue }
                                check(
                                    ragkit_gemm_serial, ta, tb, m, n, k, beta: beta,
                                    seed: UInt64(i), name: name)
                            }
                        }
                    }
                }
            }
        }

        @Test func threadsChangeNoBits() {
            var random = TestRandom(5)
            let (m, n, k) = (140, 210, 700)
            let a = random.floats(m * k), b = random.floats(n * k)
            atEachLevel { level in
                guard level > 0 else { return }  // the BLAS's bits depend on the pieces
                for (ta, tb) in [(false, false), (false, true), (true, false), (true, true)] {
                    expectSameBits("level \(level) \(ta) \(tb)") {
                        var c = [Float](repeating: 0, count: m * n)
                        ragkit_gemm(ta, tb, m, n, k, 1, a, ta ? m : k, b, tb ? k : n, 0, &c, n)
                        return c
                    }
                }
            }
        }

        @Test(arguments: [0, 1, 2, 40])
        func batches(count: Int) {
            var random = TestRandom(3)
            for (m, n, k) in [(1, 5, 7), (12, 33, 64), (50, 20, 100)] {
                let a = random.floats(count * m * k), b = random.floats(n * k)
                var c = [Float](repeating: 9, count: count * (m * n + 1))
                ragkit_gemm_batched(
                    count, false, true, m, n, k, 1, a, k, m * k, b, k, 0, 0, &c, n, m * n + 1)
                let expected = (0..<c.count).map { index -> Double in
                    let item = index / (m * n + 1), i = index % (m * n + 1) / n,
                        j = index % (m * n + 1) % n
                    if i == m { return 9 }
                    return summed(k) { Double(a[(item * m + i) * k + $0]) * Double(b[j * k + $0]) }
                }
                expectClose(
                    c, expected, relative: 1e-5, absolute: 1e-5, "\(count) products \(m)x\(n)x\(k)")
            }
        }
    }

    @Suite(.serialized) struct Packs {
        private static let formats = [RAGKIT_FLOAT32, RAGKIT_BFLOAT16, RAGKIT_INT8].map {
            Int32($0)
        }

        /// A · op(B) + C for C = `start`, with B in a pack; `b` is `[n, k]` when transposed.
        private func product(
            _ format: Int32, _ transposed: Bool, _ m: Int, _ n: Int, _ k: Int, _ a: [Float],
            _ b: [Float], start: Float = 1
        ) -> [Float] {
            let pack = UnsafeMutableRawPointer.allocate(
                byteCount: ragkit_pack_bytes(format, k, n), alignment: 64)
            defer { pack.deallocate() }
            ragkit_pack(format, transposed, k, n, b, transposed ? k : n, pack)
            var c = [Float](repeating: start, count: m * n)
            ragkit_gemm_packed(m, 1, a, k, pack, 1, &c, n)
            return c
        }

        /// The value that a number becomes in bfloat16, by the definition: ties go to even.
        private func rounded(_ x: Float) -> Float {
            let bits = x.bitPattern
            return Float(bitPattern: (bits + 0x7fff + ((bits >> 16) & 1)) & 0xffff_0000)
        }

        private func operand(_ format: Int32, _ x: [Float], paired: Bool) -> [Double] {
            switch Int(format) {
            case Int(RAGKIT_INT8): Int8Operand.values(x, paired: paired)
            case Int(RAGKIT_BFLOAT16): doubles(x.map(rounded))
            default: doubles(x)
            }
        }

        @Test(.tags(.slow), .unlessFast) func againstTheDefinition() {
            for (i, (m, n, k)) in Products.shapes.enumerated() where m * n * k < 300_000 {
                var random = TestRandom(UInt64(i))
                let a = random.floats(m * k), b = random.floats(n * k)
                for transposed in [false, true] {
                    let rows = (0..<m).map { Array(a[$0 * k..<($0 + 1) * k]) }
                    let columns = (0..<n).map { j in
                        (0..<k).map { transposed ? b[j * k + $0] : b[$0 * n + j] }
                    }
                    for format in Self.formats {
                        let x = rows.map { operand(format, $0, paired: false) }
                        atEachLevel { level in
                            let paired = Int8Operand.isPaired(atLevel: level)
                            let y = columns.map { operand(format, $0, paired: paired) }
                            let expected = (0..<m * n).map { index in
                                1 + summed(k) { x[index / n][$0] * y[index % n][$0] }
                            }
                            expectClose(
                                product(format, transposed, m, n, k, a, b), expected,
                                relative: 1e-5, absolute: 1e-6 * Double(k).squareRoot() + 3e-7,
                                "level \(level), format \(format), \(transposed) \(m)x\(n)x\(k)")
                        }
                    }
                }
            }
        }

        /// Where products are added in 16 bits, the largest there can be.
        @Test func largestPairsDoNotSaturate() {
            let (m, n, k) = (7, 33, 1000)
            for sign: Float in [1, -1] {
                let a = [Float](repeating: 1, count: m * k)
                // Integers of 127, 63 or 64 by the level's scale, and pairs of 64 are the largest.
                let b = (0..<n * k).map { $0 % 3 == 0 ? sign * 0.99999 : sign }
                for transposed in [false, true] {
                    atEachLevel { level in
                        let found = product(Int32(RAGKIT_INT8), transposed, m, n, k, a, b)
                        let expected = [Double](repeating: 1 + Double(sign) * 1000, count: m * n)
                        expectClose(found, expected, relative: 0.01, absolute: 0, "level \(level)")
                    }
                }
            }
        }

        /// Operands of either orientation, none of them packed before.
        @Test(.tags(.slow), .unlessFast) func bfloat16AgainstTheDefinition() {
            for (i, (m, n, k)) in Products.shapes.enumerated() where m * n * k < 3_000_000 {
                var random = TestRandom(UInt64(i))
                let exact = random.floats(max(m * k, 1)).map(rounded)
                let other = random.floats(max(n * k, 1)).map(rounded)
                // What rounding takes away, so that operands have to be rounded.
                let a = exact.map { $0 * (1 + 0x1p-10) }, b = other.map { $0 * (1 - 0x1p-10) }
                atEachLevel { level in
                    for (ta, tb) in [(false, false), (false, true), (true, false), (true, true)] {
                        var c = [Float](repeating: 1, count: m * n)
                        ragkit_gemm_bfloat16(
                            ta, tb, m, n, k, 0.5, a, ta ? m : k, b, tb ? k : n, -1, &c, n)
                        let expected = (0..<m * n).map { index in
                            let (i, j) = (index / n, index % n)
                            return -1 + 0.5
                                * summed(k) { p in
                                    Double(exact[ta ? p * m + i : i * k + p])
                                        * Double(other[tb ? j * k + p : p * n + j])
                                }
                        }
                        expectClose(
                            c, expected, relative: 1e-5,
                            absolute: 1e-6 * Double(k).squareRoot() + 3e-7,
                            "level \(level), \(ta) \(tb) \(m)x\(n)x\(k)")
                    }
                }
            }
        }

        /// Threads that would pack the same columns share their panels, which come in parts of 16 MB: the
        /// bits are those of a product with a pack.
        @Test(.tags(.slow), .unlessFast) func sharedPanelsAreThoseOfAPack() {
            var random = TestRandom(7)
            let usual = ragkit_thread_count()
            defer { ragkit_set_thread_count(usual) }
            ragkit_set_thread_count(3)
            for (m, n, k) in [(300, 250, 100), (1100, 530, 8300)] {
                let a = random.floats(m * k), b = random.floats(n * k), bias = random.floats(n)
                for level in kernelLevels.suffix(1) + [1] where kernelLevels.contains(level) {
                    let best = ragkit_instruction_level()
                    defer { ragkit_force_instruction_level(best) }
                    ragkit_force_instruction_level(level)
                    for transposed in [false, true] {
                        for format in Self.formats.prefix(2) {
                            let multiply =
                                format == RAGKIT_BFLOAT16 ? ragkit_gemm_bfloat16 : ragkit_gemm
                            var c = [Float](repeating: 1, count: m * n)
                            multiply(
                                false, transposed, m, n, k, 1, a, k, b, transposed ? k : n, 1, &c, n
                            )
                            let isSame = c == product(format, transposed, m, n, k, a, b)
                            #expect(
                                isSame, "\(m)x\(n)x\(k), \(transposed), \(format), level \(level)")
                        }
                    }
                    var pre = [Float](repeating: 0, count: m * n), y = pre
                    ragkit_linear(m, n, k, 1, a, b, bias, Int32(RAGKIT_RELU), &pre, &y)
                    let sums = product(Int32(RAGKIT_FLOAT32), true, m, n, k, a, b, start: 0)
                    let isSame = (0..<m * n).allSatisfy { i in
                        let sum = sums[i] + bias[i % n]
                        return pre[i] == sum && y[i] == max(sum, 0)
                    }
                    #expect(isSame, "linear layer, \(m)x\(n)x\(k), level \(level)")
                }
            }
        }

        @Test func neitherThreadsNorOtherRowsChangeARow() {
            var random = TestRandom(6)
            let (m, n, k) = (37, 300, 650)
            let a = random.floats(m * k), b = random.floats(n * k)
            atEachLevel { level in
                for format in Self.formats where level > 0 || format > 0 {
                    expectSameBits { product(format, true, m, n, k, a, b) }
                    let all = product(format, true, m, n, k, a, b)
                    let last = product(format, true, 1, n, k, Array(a.suffix(k)), b)
                    #expect(Array(all.suffix(n)) == last, "level \(level), format \(format)")
                }
            }
        }

        @Test func whatIsNotFiniteShows() {
            let (m, n, k) = (3, 5, 40)
            var a = [Float](repeating: 1, count: m * k), b = [Float](repeating: 2, count: n * k)
            a[1 * k + 5] = .nan
            b[3 * k + 8] = .nan
            b[4 * k + 9] = .infinity
            for format in Self.formats {
                atEachLevel { level in
                    let c = product(format, true, m, n, k, a, b)
                    for (i, x) in c.enumerated() {
                        // int8 has no scale for infinity.
                        let isNaN =
                            i / n == 1 || i % n == 3 || i % n == 4 && format == Int32(RAGKIT_INT8)
                        let isRight =
                            x.isNaN || (i % n == 4 ? x == .infinity : abs(x - 81) < 1)
                        #expect(
                            x.isNaN == isNaN && isRight,
                            "\(i): \(x), level \(level), format \(format)")
                    }
                }
            }
        }
    }
}
