import Foundation
import RAGKitBLAS
import Testing

private let shapes = [(0, 3), (3, 1), (2, 7), (5, 16), (4, 33), (70, 100), (200, 300)]
private let none = ragkit_dropout(rate: 0, seed: 0, stream: 0)

extension KernelTests {
    @Suite(.serialized) struct Normalization {
        @Test(arguments: [Float(0), 0.3])
        func layerNorm(rate: Float) {
            let dropout = ragkit_dropout(rate: rate, seed: 77, stream: 3)
            atEachLevel { level in
                var random = TestRandom(51)
                for (rows, width) in shapes {
                    let n = rows * width
                    let x = random.floats(n), residual = random.floats(n, 0, 3)
                    let gain = random.floats(width, 0.5, 2), bias = random.floats(width),
                        dy = random.floats(n)
                    var dropped = x
                    ragkit_apply_dropout(n, dropout, 0, x, &dropped)
                    let sums = (0..<n).map { Double(dropped[$0]) + Double(residual[$0]) }
                    let means = (0..<rows).map { r in
                        summed(width) { sums[r * width + $0] } / Double(width)
                    }
                    let scales = (0..<rows).map { r in
                        let variance =
                            summed(width) { pow(sums[r * width + $0] - means[r], 2) }
                            / Double(width)
                        return 1 / (variance + Double(Float(1e-5))).squareRoot()
                    }
                    func hat(_ i: Int) -> Double {
                        (sums[i] - means[i / width]) * scales[i / width]
                    }
                    var sum = [Float](repeating: 9, count: n), y = sum
                    var mean = [Float](repeating: 9, count: rows), rstd = mean
                    ragkit_layer_norm(
                        rows, width, x, residual, dropout, gain, bias, 1e-5, &sum, &y, &mean, &rstd)
                    let normed = (0..<n).map {
                        hat($0) * Double(gain[$0 % width]) + Double(bias[$0 % width])
                    }
                    let name = "\(rows)x\(width), level \(level)"
                    // one value less itself, times 1 / sqrt(epsilon)
                    let tolerance = width == 1 ? 1e-3 : 3e-6
                    expectClose(sum, sums, name)
                    expectClose(mean, means, absolute: 1e-6, name)
                    expectClose(rstd, scales, relative: 2e-6, name)
                    expectClose(y, normed, relative: 2e-6, absolute: tolerance, name)
                    var again = y
                    ragkit_layer_norm(
                        rows, width, x, residual, dropout, gain, bias, 1e-5, nil, &again, nil, nil)
                    #expect(again == y)

                    guard width > 1 else { continue }
                    var dSum = sum, dx = sum
                    let start = random.floats(width)
                    for accumulate in [false, true] {
                        var dGain = start, dBias = start
                        ragkit_layer_norm_gradient(
                            rows, width, sum, mean, rstd, gain, dy, dropout, &dSum, &dx, accumulate,
                            &dGain, &dBias)
                        func g(_ i: Int) -> Double { Double(dy[i]) * Double(gain[i % width]) }
                        let first = (0..<rows).map { r in
                            summed(width) { g(r * width + $0) } / Double(width)
                        }
                        let second = (0..<rows).map { r in
                            summed(width) { g(r * width + $0) * hat(r * width + $0) }
                                / Double(width)
                        }
                        expectClose(
                            dSum,
                            (0..<n).map { i in
                                scales[i / width]
                                    * (g(i) - first[i / width] - hat(i) * second[i / width])
                            }, relative: 1e-5, absolute: 1e-5, name)
                        var expected = dSum
                        ragkit_apply_dropout(n, dropout, 0, dSum, &expected)
                        #expect(dx == expected)
                        let from = (0..<width).map { accumulate ? Double(start[$0]) : 0 }
                        expectClose(
                            dGain,
                            (0..<width).map { c in
                                summed(rows, from: from[c]) {
                                    Double(dy[$0 * width + c]) * hat($0 * width + c)
                                }
                            }, absolute: 2e-5, name)
                        expectClose(
                            dBias,
                            (0..<width).map { c in
                                summed(rows, from: from[c]) { Double(dy[$0 * width + c]) }
                            }, absolute: 5e-6, name)
                    }
                    let both = dSum
                    var dGain = start, dBias = start
                    ragkit_layer_norm_gradient(
                        rows, width, sum, mean, rstd, gain, dy, none, &dSum, nil, false, &dGain,
                        &dBias)
                    #expect(dSum == both)
                }
            }
        }

        @Test func layerNormWithoutResidual() {
            var random = TestRandom(52)
            let x = random.floats(3 * 20), gain = random.floats(20), bias = random.floats(20)
            let zeros = [Float](repeating: 0, count: 60)
            var y = x, other = x, sum = zeros
            ragkit_layer_norm(3, 20, x, zeros, none, gain, bias, 1e-5, nil, &other, nil, nil)
            ragkit_layer_norm(3, 20, y, nil, none, gain, bias, 1e-5, nil, &y, nil, nil)  // in place
            #expect(y == other)
            ragkit_layer_norm(3, 20, x, nil, none, gain, bias, 1e-5, &sum, &y, nil, nil)
            #expect(y == other && sum == x)
        }

        @Test func rmsNorm() {
            atEachLevel { level in
                var random = TestRandom(53)
                for (rows, width) in shapes {
                    let n = rows * width, x = random.floats(n), gain = random.floats(width, 0.5, 2),
                        dy = random.floats(n)
                    let scales = (0..<rows).map { r in
                        let mean =
                            summed(width) { pow(Double(x[r * width + $0]), 2) } / Double(width)
                        return 1 / (mean + Double(Float(1e-6))).squareRoot()
                    }
                    var y = [Float](repeating: 9, count: n),
                        rstd = [Float](repeating: 9, count: rows)
                    ragkit_rms_norm(rows, width, x, gain, 1e-6, &y, &rstd)
                    expectClose(rstd, scales, relative: 1e-6, "\(rows)x\(width), level \(level)")
                    expectClose(
                        y,
                        (0..<n).map {
                            Double(x[$0]) * scales[$0 / width] * Double(gain[$0 % width])
                        },
                        relative: 1e-6, absolute: 1e-6)
                    let start = random.floats(width)
                    for accumulate in [false, true] {
                        var dx = y, dGain = start
                        ragkit_rms_norm_gradient(
                            rows, width, x, rstd, gain, dy, &dx, accumulate, &dGain)
                        func g(_ i: Int) -> Double { Double(dy[i]) * Double(gain[i % width]) }
                        func hat(_ i: Int) -> Double { Double(x[i]) * scales[i / width] }
                        let inner = (0..<rows).map { r in
                            summed(width) { g(r * width + $0) * hat(r * width + $0) }
                                / Double(width)
                        }
                        expectClose(
                            dx,
                            (0..<n).map {
                                scales[$0 / width] * (g($0) - hat($0) * inner[$0 / width])
                            },
                            relative: 1e-5, absolute: 2e-5)
                        expectClose(
                            dGain,
                            (0..<width).map { c in
                                summed(rows, from: accumulate ? Double(start[c]) : 0) {
                                    Double(dy[$0 * width + c]) * hat($0 * width + c)
                                }
                            }, absolute: 2e-5)
                    }
                }
            }
        }

        @Test func threadsChangeNoBits() {
            var random = TestRandom(54)
            let x = random.floats(400 * 300), gain = random.floats(300),
                dy = random.floats(400 * 300)
            let dropout = ragkit_dropout(rate: 0.1, seed: 5, stream: 6)
            expectSameBits {
                var sum = x, y = x, dx = x, mean = [Float](repeating: 0, count: 400), rstd = mean
                var dGain = gain, dBias = gain
                ragkit_layer_norm(
                    400, 300, x, dy, dropout, gain, gain, 1e-5, &sum, &y, &mean, &rstd)
                let forward = sum + y + mean + rstd
                ragkit_layer_norm_gradient(
                    400, 300, sum, mean, rstd, gain, dy, dropout, &y, &dx, true, &dGain, &dBias)
                return forward + y + dx + dGain + dBias
            }
        }
    }

    @Suite(.serialized) struct Dropout {
        /// Known answers from the generator's publication (Salmon et al. 2011, Random123's kat_vectors).
        @Test func philoxKnownAnswers() {
            func philox(_ counter: [UInt32], _ key: [UInt32]) -> [UInt32] {
                var out = [UInt32](repeating: 0, count: 4)
                ragkit_philox(counter, key, &out)
                return out
            }
            #expect(
                philox([0, 0, 0, 0], [0, 0]) == [
                    0x6627_e8d5, 0xe169_c58d, 0xbc57_ac4c, 0x9b00_dbd8,
                ])
            let ones = UInt32.max
            #expect(
                philox([ones, ones, ones, ones], [ones, ones]) == [
                    0x408f_276d, 0x41c8_3b0e, 0xa20b_c7c6, 0x6d54_51fd,
                ])
            #expect(
                philox(
                    [0x243f_6a88, 0x85a3_08d3, 0x1319_8a2e, 0x0370_7344],
                    [0xa409_3822, 0x299f_31d0])
                    == [0xd16c_fe09, 0x94fd_cceb, 0x5001_e420, 0x2412_6ea1])
        }

        @Test(arguments: [Float(0.1), 0.5, 0.9])
        func theMaskIsTheDocumentedOne(rate: Float) {
            let dropout = ragkit_dropout(
                rate: rate, seed: 0x1234_5678_9abc_def0, stream: 0xfedc_ba98_0000_0001)
            let threshold = UInt32((Double(rate) * 65536).rounded())
            atEachLevel { level in
                var random = TestRandom(61)
                for n in kernelSizes + [40_009] {
                    for first in [0, 1, 7, 8, 1000, (1 << 35) - 20] {
                        let x = random.floats(n, 0.5, 1)
                        var y = x
                        ragkit_apply_dropout(n, dropout, first, y, &y)
                        var wrong = 0
                        var block = [UInt32](repeating: 0, count: 4), last = -1
                        for i in 0..<n {
                            let element = first + i
                            if element / 8 != last {
                                last = element / 8
                                let counter = [
                                    UInt32(truncatingIfNeeded: last), UInt32(last >> 32),
                                    0x0000_0001, 0xfedc_ba98,
                                ]
                                ragkit_philox(counter, [0x9abc_def0, 0x1234_5678], &block)
                            }
                            let word = block[element % 8 / 2] >> (16 * UInt32(element % 2)) & 0xffff
                            let scale = Float(1 / (1 - Double(threshold) / 65536))
                            if y[i] != (word < threshold ? 0 : x[i] * scale) { wrong += 1 }
                        }
                        #expect(wrong == 0, "\(n) elements from \(first), level \(level)")
                    }
                }
            }
        }

        @Test func ratesOfNoneAndAll() {
            let x: [Float] = [1, -0.0, 3]
            var y: [Float] = [9, 9, 9]
            ragkit_apply_dropout(3, ragkit_dropout(rate: 0, seed: 1, stream: 2), 0, x, &y)
            #expect(y == x)
            ragkit_apply_dropout(3, ragkit_dropout(rate: 1, seed: 1, stream: 2), 0, x, &y)
            #expect(y == [0, 0, 0])
        }

        @Test func threadsChangeNoBits() {
            let x = [Float](repeating: 1, count: 200_003)
            expectSameBits {
                var y = x
                ragkit_apply_dropout(
                    x.count, ragkit_dropout(rate: 0.1, seed: 1, stream: 2), 5, x, &y)
                return y
            }
        }
    }
}
