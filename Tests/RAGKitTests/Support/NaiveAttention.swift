import Foundation

@testable import RAGKit

/// Attention as its documentation says it, one query row and head at a time, in Double.
struct NaiveAttention {
    var segments: SegmentMap
    var heads: Int
    var headDim: Int
    var causal = false
    var scale = 1.0
    /// Rows and columns of the head bias, when there is one.
    var biasRows = 0
    var biasColumns = 0

    var width: Int { heads * headDim }

    func callAsFunction(
        _ q: [Double], _ k: [Double], _ v: [Double], headBias: [Double]? = nil,
        segmentBias: [Double]? = nil
    ) -> [Double] {
        var result = [Double](repeating: 0, count: q.count)
        for segment in 0..<segments.queryOffsets.count - 1 {
            let rows = segments.queryOffsets[segment]..<segments.queryOffsets[segment + 1]
            for row in rows {
                for head in 0..<heads {
                    let keys = visibleKeys(segment, rows, row)
                    let query = part(q, row, head)
                    let scores = keys.map { key in
                        var score = scale * Naive.dot(query, part(k, key.row, head))
                        if let headBias {
                            let inQuery = row - rows.lowerBound
                            let place = (head * biasRows + inQuery) * biasColumns + key.inSegment
                            score += headBias[place]
                        }
                        return score + (segmentBias?[key.entry] ?? 0)
                    }
                    for (key, weight) in zip(keys, Naive.softmax(scores)) {
                        for (column, value) in part(v, key.row, head).enumerated() {
                            result[row * width + head * headDim + column] += weight * value
                        }
                    }
                }
            }
        }
        return result
    }

    private struct Key {
        var row: Int
        var inSegment: Int
        /// Which entry of `segments.attended` it was seen through.
        var entry: Int
    }

    private func visibleKeys(_ segment: Int, _ rows: Range<Int>, _ row: Int) -> [Key] {
        let entries = segments.attendedOffsets[segment]..<segments.attendedOffsets[segment + 1]
        let all = entries.flatMap { entry in
            let attended = segments.attended[entry]
            let first = segments.keyOffsets[attended]
            return (first..<segments.keyOffsets[attended + 1]).map {
                Key(row: $0, inSegment: $0 - first, entry: entry)
            }
        }
        guard causal else { return all }
        return Array(all.prefix(max(0, all.count - (rows.upperBound - 1 - row))))
    }

    private func part(_ x: [Double], _ row: Int, _ head: Int) -> ArraySlice<Double> {
        x[(row * width + head * headDim)..<(row * width + (head + 1) * headDim)]
    }
}
