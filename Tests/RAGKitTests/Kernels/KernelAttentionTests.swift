import Foundation
import RAGKitBLAS
import Testing

private let layouts: [(String, AttentionProblem)] = [
    (
        "own segments",
        AttentionProblem(
            queries: [5, 1, 17, 40], keys: [5, 1, 17, 40], attended: [[0], [1], [2], [3]])
    ),
    (
        "empty segments",
        AttentionProblem(
            queries: [0, 3, 4, 0, 2], keys: [0, 7, 0], attended: [[0], [1], [0], [1], []])
    ),
    ("nothing", AttentionProblem(queries: [], keys: [], attended: [])),
    ("no keys", AttentionProblem(queries: [2, 3], keys: [], attended: [[], []])),
    (
        "several documents",
        AttentionProblem(queries: [6, 9], keys: [11, 3, 20, 8], attended: [[2, 0], [3, 1, 0]])
    ),
    (
        "neighbouring documents",
        AttentionProblem(
            queries: [6, 9], keys: [11, 3, 0, 8], attended: [[0, 1, 2, 3], [1, 2, 3]])
    ),
    (
        "shared by beams",
        AttentionProblem(
            queries: [1, 1, 1, 1, 1], keys: [30, 9], attended: [[0], [0], [0], [1], [1]])
    ),
    ("the same twice", AttentionProblem(queries: [3], keys: [4], attended: [[0, 0]])),
    (
        "more queries than keys",
        AttentionProblem(queries: [9, 3], keys: [4, 3], attended: [[0], [1]])
    ),
    (
        "more keys than queries",
        AttentionProblem(queries: [3, 1], keys: [14, 20], attended: [[0], [1]])
    ),
    (
        "several blocks of rows",
        AttentionProblem(queries: [300, 20], keys: [300, 150], attended: [[0], [0, 1]])
    ),
    ("long rows", AttentionProblem(queries: [70], keys: [1100], attended: [[0]])),
    (
        "few rows of many keys",
        AttentionProblem(
            queries: [4, 1, 8, 3], keys: [70, 33, 40, 5], attended: [[0], [1, 2], [3, 0, 2], [2]])
    ),
]

extension KernelTests {
    @Suite(.serialized) struct Attention {
        @Test(.tags(.slow), .unlessFast, arguments: layouts.indices)
        func againstTheDefinition(layout: Int) {
            let (name, template) = layouts[layout]
            atEachLevel { level in
                for causal in [false, true] {
                    for (headBias, segmentBias) in [(false, false), (true, true)] {
                        for rate: Float in [0, 0.25] {
                            var problem = template
                            problem.causal = causal
                            problem.dropout.rate = rate
                            problem.fill(
                                UInt64(81 + layout), headBias: headBias, segmentBias: segmentBias)
                            problem.check(
                                "\(name), causal \(causal), biases \(headBias), dropout \(rate), level \(level)"
                            )
                        }
                    }
                }
            }
        }

        @Test(arguments: [(1, 1), (3, 5), (2, 64), (1, 100)])
        func headShapes(heads: Int, width: Int) {
            atEachLevel { level in
                var problem = AttentionProblem(
                    queries: [5, 20], keys: [9, 33], attended: [[0, 1], [1]])
                (problem.heads, problem.width, problem.scale) = (
                    heads, width, 1 / Float(width).squareRoot()
                )
                problem.fill(99)
                problem.check("\(heads) heads of \(width), level \(level)")
            }
        }

        @Test func biasOfMinusInfinityHidesKeys() {
            var problem = AttentionProblem(queries: [3], keys: [4, 5], attended: [[0, 1]])
            problem.fill(7, headBias: false, segmentBias: true)
            problem.segmentBias = [-.infinity, 0.5]
            let hidden = problem.forward()
            var alone = AttentionProblem(queries: [3], keys: [4, 5], attended: [[1]])
            alone.fill(7)
            let expected = alone.forward()
            expectClose(alone.dense(hidden.out), doubles(alone.dense(expected.out)), absolute: 1e-6)
            problem.segmentBias = [-.infinity, -.infinity]
            let none = problem.forward()
            #expect(
                problem.dense(none.out).allSatisfy { $0 == 0 }
                    && none.lse.allSatisfy { $0 == -.infinity })
            #expect(problem.dense(problem.backward(none).dq).allSatisfy { $0 == 0 })
        }

        /// Rounding changes nothing of q, k, v and the gradient here: only probabilities and the scores'
        /// gradients lose digits, and only in segments of more than 24 rows.
        @Test(arguments: [false, true])
        func bfloat16AgainstTheDefinition(causal: Bool) {
            func rounded(_ x: [Float]) -> [Float] {
                x.map { Float(bitPattern: $0.bitPattern & 0xffff_0000) }
            }
            var problem = AttentionProblem(
                queries: [24, 25, 300, 60, 30], keys: [24, 70, 300, 9],
                attended: [[1], [1], [2, 3], [1], [1]])
            problem.causal = causal
            problem.dropout.rate = 0.25
            (problem.width, problem.scale) = (32, 0.1)
            problem.fill(6)
            (problem.q, problem.k) = (rounded(problem.q), rounded(problem.k))
            (problem.v, problem.dOut) = (rounded(problem.v), rounded(problem.dOut))
            let expected = problem.naive()
            atEachLevel { level in
                problem.bfloat16 = false
                let plain = problem.forward(), plainGradients = problem.backward(plain)
                problem.bfloat16 = true
                let found = problem.forward(), gradients = problem.backward(found)
                let name = "level \(level)"
                expectClose(found.lse, expected.lse, relative: 1e-6, absolute: 3e-6, name)
                expectClose(problem.dense(found.out), expected.out, absolute: 0.005, name)
                expectClose(problem.dense(gradients.dq), expected.dq, absolute: 0.003, name)
                expectClose(problem.dense(gradients.dk), expected.dk, absolute: 0.01, name)
                expectClose(problem.dense(gradients.dv), expected.dv, absolute: 0.01, name)

                // The first two segments see the same keys and yet do not round alike.
                let rounds = level == RAGKIT_AVX512_BF16, stride = problem.stride
                func largestDifference(rows: Range<Int>) -> Float {
                    (rows.lowerBound * stride..<rows.upperBound * stride).map {
                        abs(found.out[$0] - plain.out[$0])
                    }.max() ?? 0
                }
                #expect(largestDifference(rows: 0..<24) < 1e-5, "few rows, \(name)")
                for rows in [24..<49, 49..<349, 349..<409, 409..<439] {
                    #expect((largestDifference(rows: rows) > 2e-5) == rounds, "\(rows), \(name)")
                }
                #expect((gradients.dq != plainGradients.dq) == rounds, "\(name)")
                #expect((gradients.dk != plainGradients.dk) == rounds, "\(name)")
                #expect((gradients.dv != plainGradients.dv) == rounds, "\(name)")
            }
        }

        /// One segment's numbers do not depend on the others of a batch.
        @Test func bfloat16OfOneSegmentAlone() {
            var problem = AttentionProblem(
                queries: [3, 90, 2], keys: [5, 90, 4], attended: [[0], [1], [2]])
            problem.bfloat16 = true
            problem.fill(12)
            let stride = problem.stride
            var alone = AttentionProblem(queries: [90], keys: [90], attended: [[0]])
            alone.bfloat16 = true
            alone.fill(0)
            alone.q = Array(problem.q[3 * stride..<93 * stride])
            alone.k = Array(problem.k[5 * stride..<95 * stride])
            alone.v = Array(problem.v[5 * stride..<95 * stride])
            atEachLevel { level in
                let all = problem.forward().out[3 * stride..<93 * stride]
                #expect(alone.forward().out == Array(all), "level \(level)")
            }
        }

        @Test(arguments: [false, true])
        func threadsChangeNoBits(bfloat16: Bool) {
            for causal in [false, true] {
                var problem = AttentionProblem(
                    queries: [60, 200, 1, 1, 33, 90], keys: [60, 200, 40, 33, 50],
                    attended: [[0], [1], [2], [2], [3, 4], [1, 0]])
                (problem.causal, problem.bfloat16) = (causal, bfloat16)
                (problem.heads, problem.width, problem.dropout.rate) = (3, 32, 0.1)
                problem.fill(5, headBias: true, segmentBias: true)
                expectSameBits("causal \(causal)") {
                    let f = problem.forward(), g = problem.backward(f)
                    return f.out + f.lse + g.dq + g.dk + g.dv + g.dHead + g.dSegment
                }
            }
        }
    }
}
