import Foundation
import RAGKitBLAS
import Testing

/// One attention problem with everything a call needs, and its naive solution in Double.
private struct AttentionProblem {
    var heads = 2, width = 8, causal = false, scale: Float = 0.35
    var queryOffsets: [Int], keyOffsets: [Int], attendedOffsets: [Int], attended: [Int]
    var q: [Float] = [], k: [Float] = [], v: [Float] = [], dOut: [Float] = []
    var headBias: [Float]?, segmentBias: [Float]?
    var biasRows = 0, biasColumns = 0
    var dropout = ragkit_dropout(rate: 0, seed: 9, stream: 4)
    var bfloat16 = false
    let padding = 3  // the rows of every array lie this much further apart than they are wide

    var stride: Int { heads * width + padding }
    var queries: Int { queryOffsets.last! }
    var keys: Int { keyOffsets.last! }

    init(queries: [Int], keys: [Int], attended: [[Int]]) {
        func offsets(_ lengths: [Int]) -> [Int] {
            lengths.reduce(into: [0]) { $0.append($0.last! + $1) }
        }
        queryOffsets = offsets(queries)
        keyOffsets = offsets(keys)
        attendedOffsets = offsets(attended.map(\.count))
        self.attended = attended.flatMap { $0 }
    }

    mutating func fill(_ seed: UInt64, headBias: Bool = false, segmentBias: Bool = false) {
        var random = TestRandom(seed)
        q = random.floats(queries * stride, -2, 2)
        k = random.floats(keys * stride, -2, 2)
        v = random.floats(keys * stride)
        dOut = random.floats(queries * stride)
        biasRows =
            (0..<queryOffsets.count - 1).map { queryOffsets[$0 + 1] - queryOffsets[$0] }.max() ?? 0
        biasColumns =
            (0..<keyOffsets.count - 1).map { keyOffsets[$0 + 1] - keyOffsets[$0] }.max() ?? 0
        if headBias { self.headBias = random.floats(heads * biasRows * biasColumns) }
        if segmentBias { self.segmentBias = random.floats(attended.count) }
    }

    /// Calls `body` with the C form of the problem.
    func with<R>(_ body: (UnsafePointer<ragkit_attention>) -> R) -> R {
        var c = ragkit_attention()
        return q.withUnsafeBufferPointer { q in
            k.withUnsafeBufferPointer { k in
                v.withUnsafeBufferPointer { v in
                    queryOffsets.withUnsafeBufferPointer { qo in
                        keyOffsets.withUnsafeBufferPointer { ko in
                            attendedOffsets.withUnsafeBufferPointer { ao in
                                attended.withUnsafeBufferPointer { at in
                                    (headBias ?? []).withUnsafeBufferPointer { hb in
                                        (segmentBias ?? []).withUnsafeBufferPointer { sb in
                                            c.q = q.baseAddress
                                            c.k = k.baseAddress
                                            c.v = v.baseAddress
                                            (c.q_stride, c.k_stride, c.v_stride) = (
                                                stride, stride, stride
                                            )
                                            (c.heads, c.head_dim) = (heads, width)
                                            (c.q_segments, c.k_segments) = (
                                                queryOffsets.count - 1, keyOffsets.count - 1
                                            )
                                            (c.q_offsets, c.k_offsets) = (
                                                qo.baseAddress, ko.baseAddress
                                            )
                                            (c.attended_offsets, c.attended) = (
                                                ao.baseAddress, at.baseAddress
                                            )
                                            (c.causal, c.scale, c.dropout) = (
                                                causal, scale, dropout
                                            )
                                            c.head_bias = headBias == nil ? nil : hb.baseAddress
                                            c.segment_bias =
                                                segmentBias == nil ? nil : sb.baseAddress
                                            (c.bias_rows, c.bias_columns) = (biasRows, biasColumns)
                                            c.bfloat16 = bfloat16
                                            return body(&c)
                                        }
                                    }
                                }
                            }
                        }
                    }
                }
            }
        }
    }

    struct Forward { var out: [Float], lse: [Float] }
    struct Gradients {
        var dq: [Float], dk: [Float], dv: [Float], dHead: [Float], dSegment: [Float]
    }

    func forward() -> Forward {
        var out = [Float](repeating: 9, count: queries * stride),
            lse = [Float](repeating: 9, count: queries * heads)
        with { ragkit_attention_forward($0, &out, stride, &lse) }
        return Forward(out: out, lse: lse)
    }

    func backward(_ f: Forward) -> Gradients {
        var dq = [Float](repeating: 9, count: queries * stride)
        var dk = [Float](repeating: 9, count: keys * stride), dv = dk
        var dHead = [Float](repeating: 9, count: heads * biasRows * biasColumns)
        var dSegment = [Float](repeating: 9, count: attended.count)
        with { c in
            if headBias == nil && segmentBias == nil {
                ragkit_attention_backward(
                    c, f.out, stride, f.lse, dOut, stride, &dq, stride, &dk, stride, &dv, stride,
                    nil, nil)
            } else {
                ragkit_attention_backward(
                    c, f.out, stride, f.lse, dOut, stride, &dq, stride, &dk, stride, &dv, stride,
                    &dHead, &dSegment)
            }
        }
        return Gradients(dq: dq, dk: dk, dv: dv, dHead: dHead, dSegment: dSegment)
    }

    /// The columns that belong to the rows, without what lies between them.
    func dense(_ x: [Float]) -> [Float] {
        (0..<x.count / stride).flatMap { x[$0 * stride..<$0 * stride + heads * width] }
    }

    /// Whether each probability is kept, times its scale: the mask as attention.c documents it.
    private func mask(row: Int, head: Int, position: Int, longest: Int) -> Double {
        guard dropout.rate > 0 else { return 1 }
        var one: [Float] = [1]
        let length = (longest + 7) / 8 * 8
        ragkit_apply_dropout(1, dropout, (row * heads + head) * length + position, one, &one)
        return Double(one[0])
    }

    /// Forward and gradients by the definition, one row and head at a time.
    func naive() -> (
        out: [Double], lse: [Double], dq: [Double], dk: [Double], dv: [Double], dHead: [Double],
        dSegment: [Double]
    ) {
        let columns = heads * width
        var out = [Double](repeating: 0, count: queries * columns),
            lse = [Double](repeating: -.infinity, count: queries * heads)
        var dq = out, dk = [Double](repeating: 0, count: keys * columns), dv = dk
        var dHead = [Double](repeating: 0, count: heads * biasRows * biasColumns)
        var dSegment = [Double](repeating: 0, count: attended.count)
        typealias Key = (row: Int, a: Int, position: Int)
        let lists: [[Key]] = (0..<queryOffsets.count - 1).map { s in
            (attendedOffsets[s]..<attendedOffsets[s + 1]).flatMap { a in
                (keyOffsets[attended[a]]..<keyOffsets[attended[a] + 1]).map {
                    ($0, a, $0 - keyOffsets[attended[a]])
                }
            }
        }
        let longest = lists.map(\.count).max() ?? 0
        for s in 0..<lists.count {
            for row in queryOffsets[s]..<queryOffsets[s + 1] {
                let r = row - queryOffsets[s], m = queryOffsets[s + 1] - queryOffsets[s],
                    n = lists[s].count
                let seen = causal ? Array(lists[s].prefix(max(0, r + n - m + 1))) : lists[s]
                for h in 0..<heads {
                    func at(_ x: [Float], _ row: Int, _ c: Int) -> Double {
                        Double(x[row * stride + h * width + c])
                    }
                    let scores = seen.map { key -> Double in
                        var score =
                            Double(scale) * summed(width) { at(q, row, $0) * at(k, key.row, $0) }
                        if let headBias {
                            score += Double(
                                headBias[(h * biasRows + r) * biasColumns + key.position])
                        }
                        if let segmentBias { score += Double(segmentBias[key.a]) }
                        return score
                    }
                    let sum = naiveLogSumExp(scores)
                    lse[row * heads + h] = sum
                    guard sum > -.infinity else { continue }
                    let p = scores.map { exp($0 - sum) }
                    let kept = (0..<seen.count).map {
                        mask(row: row, head: h, position: $0, longest: longest)
                    }
                    var dp = p
                    for (j, key) in seen.enumerated() {
                        dp[j] = kept[j] * summed(width) { at(dOut, row, $0) * at(v, key.row, $0) }
                        for c in 0..<width {
                            out[row * columns + h * width + c] += p[j] * kept[j] * at(v, key.row, c)
                            dv[key.row * columns + h * width + c] +=
                                p[j] * kept[j] * at(dOut, row, c)
                        }
                    }
                    let inner = summed(seen.count) { p[$0] * dp[$0] }
                    for (j, key) in seen.enumerated() {
                        let ds = p[j] * (dp[j] - inner)
                        for c in 0..<width {
                            dq[row * columns + h * width + c] +=
                                Double(scale) * ds * at(k, key.row, c)
                            dk[key.row * columns + h * width + c] +=
                                Double(scale) * ds * at(q, row, c)
                        }
                        if headBias != nil {
                            dHead[(h * biasRows + r) * biasColumns + key.position] += ds
                        }
                        dSegment[key.a] += ds
                    }
                }
            }
        }
        return (out, lse, dq, dk, dv, dHead, dSegment)
    }

    func check(_ name: String) {
        let expected = naive(), found = forward()
        expectClose(dense(found.out), expected.out, relative: 1e-5, absolute: 3e-6, "out, \(name)")
        expectClose(found.lse, expected.lse, relative: 1e-6, absolute: 3e-6, "lse, \(name)")
        #expect(
            found.out.indices.allSatisfy { $0 % stride < heads * width || found.out[$0] == 9 },
            "between rows, \(name)")
        let gradients = backward(found)
        expectClose(dense(gradients.dq), expected.dq, relative: 1e-4, absolute: 1e-5, "dq, \(name)")
        expectClose(dense(gradients.dk), expected.dk, relative: 1e-4, absolute: 2e-5, "dk, \(name)")
        expectClose(dense(gradients.dv), expected.dv, relative: 1e-4, absolute: 2e-5, "dv, \(name)")
        if headBias != nil || segmentBias != nil {
            expectClose(
                gradients.dHead, expected.dHead, relative: 1e-4, absolute: 1e-5,
                "head bias, \(name)")
            expectClose(
                gradients.dSegment, expected.dSegment, relative: 1e-4, absolute: 2e-5,
                "segment bias, \(name)")
        }
    }
}

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
        @Test(arguments: layouts.indices)
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
