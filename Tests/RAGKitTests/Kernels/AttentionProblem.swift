import Foundation
import RAGKitBLAS
import Testing

/// One attention problem with everything a call needs, and its naive solution in Double.
struct AttentionProblem {
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
