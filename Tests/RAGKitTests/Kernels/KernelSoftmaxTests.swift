import Foundation
import RAGKitBLAS
import Testing

func naiveLogSumExp(_ x: [Double]) -> Double {
    guard let best = x.max(), best > -.infinity else { return -.infinity }
    return best + log(x.reduce(0) { $0 + exp($1 - best) })
}

private let shapes = [
    (0, 3), (3, 0), (2, 1), (5, 7), (4, 16), (3, 17), (9, 33), (70, 100), (3, 1003), (2, 5000),
]

extension KernelTests {
    @Suite(.serialized) struct Softmax {
        @Test(arguments: [Float(1), 10, 1e4])
        func rows(scale: Float) {
            atEachLevel { level in
                var random = TestRandom(31)
                for (rows, width) in shapes {
                    let x = random.floats(rows * width, -scale, scale)
                    let lse = (0..<rows).map {
                        naiveLogSumExp(doubles(Array(x[$0 * width..<($0 + 1) * width])))
                    }
                    let logs = (0..<rows * width).map { Double(x[$0]) - lse[$0 / width] }
                    var y = x
                    ragkit_softmax(rows, width, y, &y)
                    // x - max is exact to half a unit in the last place of `scale`
                    let tolerance = 3e-7 + Double(scale) * 1.3e-7
                    expectClose(
                        y, logs.map(exp), relative: tolerance, absolute: 1e-9,
                        "\(rows)x\(width), level \(level)")
                    ragkit_log_softmax(rows, width, x, &y)
                    expectClose(y, logs, relative: 3e-7, absolute: tolerance)
                    var sums = [Float](repeating: 9, count: rows)
                    ragkit_log_sum_exp(rows, width, x, &sums)
                    expectClose(sums, lse, relative: 3e-7, absolute: 1e-6)
                }
            }
        }

        @Test func impossibleEntries() {
            atEachLevel { _ in
                for width in [1, 5, 16, 40] {
                    let none = [Float](repeating: -.infinity, count: width)
                    var y = none, lse: [Float] = [0]
                    ragkit_softmax(1, width, none, &y)
                    #expect(y.allSatisfy { $0 == 0 })
                    ragkit_log_softmax(1, width, none, &y)
                    #expect(y.allSatisfy { $0 == -.infinity })
                    ragkit_log_sum_exp(1, width, none, &lse)
                    #expect(lse[0] == -.infinity)
                    var one = none
                    one[width - 1] = -1e4
                    ragkit_softmax(1, width, one, &y)
                    #expect(y[width - 1] == 1 && y.reduce(0, +) == 1)
                    one[0] = .nan
                    ragkit_softmax(1, width, one, &y)
                    #expect(y.allSatisfy { $0.isNaN })
                }
                var lse: [Float] = [0, 0]
                ragkit_log_sum_exp(2, 0, [], &lse)
                #expect(lse == [-.infinity, -.infinity])
            }
        }

        @Test func gradients() {
            atEachLevel { level in
                var random = TestRandom(32)
                for (rows, width) in shapes {
                    var y = random.floats(rows * width, -3, 3)
                    let dy = random.floats(rows * width)
                    func inner(_ r: Int, _ term: (Int) -> Double) -> Double {
                        (r * width..<(r + 1) * width).reduce(0) { $0 + term($1) }
                    }
                    var dx = [Float](repeating: 9, count: rows * width)
                    ragkit_log_softmax(rows, width, y, &y)
                    ragkit_log_softmax_gradient(rows, width, y, dy, &dx)
                    expectClose(
                        dx,
                        (0..<rows * width).map { i in
                            Double(dy[i]) - exp(Double(y[i])) * inner(i / width) { Double(dy[$0]) }
                        }, absolute: 1e-6, "\(rows)x\(width), level \(level)")
                    ragkit_softmax(rows, width, y, &y)
                    ragkit_softmax_gradient(rows, width, y, dy, &dx)
                    expectClose(
                        dx,
                        (0..<rows * width).map { i in
                            Double(y[i])
                                * (Double(dy[i])
                                    - inner(i / width) { Double(y[$0]) * Double(dy[$0]) })
                        }, absolute: 1e-6)
                }
            }
        }
    }

    @Suite(.serialized) struct Vocabulary {
        @Test func picksAndTotals() {
            atEachLevel { level in
                var random = TestRandom(41)
                for (rows, v) in [(0, 5), (1, 1), (3, 7), (5, 100), (4, 5003)] {
                    let logits = random.floats(rows * v, -5, 5)
                    let targets = (0..<rows).map { $0 == 1 ? -100 : Int32(random.int(v)) }
                    var lse = [Float](repeating: 9, count: rows), picked = lse, total = lse
                    ragkit_pick_log_softmax(rows, v, logits, targets, &lse, &picked, &total)
                    let naive = (0..<rows).map {
                        naiveLogSumExp(doubles(Array(logits[$0 * v..<($0 + 1) * v])))
                    }
                    expectClose(lse, naive, "\(rows)x\(v), level \(level)")
                    expectClose(
                        picked,
                        (0..<rows).map {
                            targets[$0] < 0
                                ? 0 : Double(logits[$0 * v + Int(targets[$0])]) - naive[$0]
                        },
                        absolute: 2e-6)
                    expectClose(
                        total,
                        (0..<rows).map { r in
                            summed(v) { Double(logits[r * v + $0]) - naive[r] }
                        }, relative: 1e-6, absolute: 1e-6)
                    let dPicked = random.floats(rows), dTotal = random.floats(rows, -0.01, 0.01)
                    for smoothing in [true, false] {
                        var gradient = logits
                        if smoothing {
                            ragkit_pick_log_softmax_gradient(
                                rows, v, &gradient, targets, lse, dPicked, dTotal)
                        } else {
                            ragkit_pick_log_softmax_gradient(
                                rows, v, &gradient, targets, lse, dPicked, nil)
                        }
                        expectClose(
                            gradient,
                            (0..<rows * v).map { i in
                                let r = i / v, p = exp(Double(logits[i]) - naive[r])
                                let total = smoothing ? Double(dTotal[r]) * (1 - Double(v) * p) : 0
                                let own =
                                    targets[r] < 0
                                    ? 0
                                    : Double(dPicked[r]) * ((Int(targets[r]) == i % v ? 1 : 0) - p)
                                return total + own
                            }, relative: 2e-6, absolute: 1e-6,
                            "gradient \(rows)x\(v), level \(level)")
                    }
                }
            }
        }

        @Test func marginal() {
            atEachLevel { level in
                var random = TestRandom(42)
                for (groups, docs, v) in [
                    (0, 2, 3), (1, 1, 1), (3, 1, 17), (4, 5, 33), (3, 5, 1003),
                ] {
                    let rows = groups * docs
                    let logits = random.floats(rows * v, -4, 4),
                        priors = random.floats(rows, -30, 0)
                    let targets = (0..<groups).map { $0 == 1 ? -1 : Int32(random.int(v)) }
                    let naiveLse = (0..<rows).map {
                        naiveLogSumExp(doubles(Array(logits[$0 * v..<($0 + 1) * v])))
                    }
                    func p(_ g: Int, _ t: Int) -> Double {
                        naiveLogSumExp(
                            (0..<docs).map { j in
                                let r = g * docs + j
                                return Double(logits[r * v + t]) - naiveLse[r] + Double(priors[r])
                            })
                    }
                    let logP = (0..<groups).map { g in (0..<v).map { p(g, $0) } }
                    var lse = [Float](repeating: 9, count: rows)
                    var picked = [Float](repeating: 9, count: groups), total = picked
                    ragkit_marginal(groups, docs, v, logits, priors, targets, &lse, &picked, &total)
                    expectClose(lse, naiveLse)
                    expectClose(
                        picked,
                        (0..<groups).map { targets[$0] < 0 ? 0 : logP[$0][Int(targets[$0])] },
                        absolute: 2e-6,
                        "\(groups)x\(docs)x\(v), level \(level)")
                    expectClose(total, logP.map { $0.reduce(0, +) }, relative: 1e-6, absolute: 1e-6)

                    let dPicked = random.floats(groups), dTotal = random.floats(groups, -0.01, 0.01)
                    for smoothing in [true, false] {
                        var gradient = logits, dPriors = priors
                        if smoothing {
                            ragkit_marginal_gradient(
                                groups, docs, v, &gradient, priors, targets, lse, dPicked, dTotal,
                                &dPriors)
                        } else {
                            ragkit_marginal_gradient(
                                groups, docs, v, &gradient, priors, targets, lse, dPicked, nil,
                                &dPriors)
                        }
                        func dJoint(_ r: Int, _ t: Int) -> Double {
                            let g = r / docs
                            let own = Int(targets[g]) == t ? Double(dPicked[g]) : 0
                            let joint = Double(logits[r * v + t]) - naiveLse[r] + Double(priors[r])
                            return (own + (smoothing ? Double(dTotal[g]) : 0))
                                * exp(joint - logP[g][t])
                        }
                        let sums = (0..<rows).map { r in summed(v) { dJoint(r, $0) } }
                        expectClose(
                            dPriors, sums, relative: 2e-5, absolute: 1e-6,
                            "priors \(groups)x\(docs)x\(v)")
                        expectClose(
                            gradient,
                            (0..<rows * v).map { i in
                                dJoint(i / v, i % v) - exp(Double(logits[i]) - naiveLse[i / v])
                                    * sums[i / v]
                            }, relative: 1e-5, absolute: 2e-6,
                            "gradient \(groups)x\(docs)x\(v), level \(level)")
                    }
                }
            }
        }

        @Test func threadsChangeNoBits() {
            var random = TestRandom(43)
            let logits = random.floats(20 * 8000, -4, 4), priors = random.floats(20, -3, 0)
            let targets: [Int32] = [5, 6, 7, 8], d = random.floats(4)
            expectSameBits {
                var lse = [Float](repeating: 0, count: 20),
                    picked = [Float](repeating: 0, count: 4), total = picked
                var gradient = logits, dPriors = priors
                ragkit_marginal(4, 5, 8000, logits, priors, targets, &lse, &picked, &total)
                ragkit_marginal_gradient(
                    4, 5, 8000, &gradient, priors, targets, lse, d, d, &dPriors)
                return lse + picked + total + gradient + dPriors
            }
        }
    }
}
