import Foundation

/// Divides scores, so that their differences grow (below 1) or shrink (above 1).
struct Temperature: LogitsProcessor {
    let temperature: Float

    func process(
        _ scores: UnsafeMutableBufferPointer<Float>, after sequence: [Int32], question: Int
    ) {
        for index in scores.indices { scores[index] /= temperature }
    }
}

/// Keeps the `count` best tokens, and those that tie with the last of them.
///
/// Source: Fan et al. 2018, arXiv:1805.04833, section 5.4.
struct TopK: LogitsProcessor {
    let count: Int

    func process(
        _ scores: UnsafeMutableBufferPointer<Float>, after sequence: [Int32], question: Int
    ) {
        guard let base = scores.baseAddress, count < scores.count else { return }
        let (_, best) = topScores(
            base, groups: 1, rows: 1, width: scores.count, groupStride: 0, rowStride: 0,
            offsets: [0], count: count)
        let worst = best[count - 1]
        for index in scores.indices where scores[index] < worst { scores[index] = -.infinity }
    }
}

/// Keeps the fewest tokens whose probabilities add up to `share`, and at least `minimum`.
///
/// Source: Holtzman et al. 2020, arXiv:1904.09751, section 3.1.
struct TopP: LogitsProcessor {
    let share: Float
    let minimum: Int

    func process(
        _ scores: UnsafeMutableBufferPointer<Float>, after sequence: [Int32], question: Int
    ) {
        let order = scores.indices.filter { scores[$0] > -.infinity }
            .sorted { (scores[$0], $1) < (scores[$1], $0) }
        guard let best = order.last.map({ scores[$0] }) else { return }
        let weights = order.map { exp(Double(scores[$0] - best)) }
        let total = weights.reduce(0, +)
        // From the least probable upwards, as long as the removed mass stays within 1 - share.
        var sum = 0.0
        for (place, index) in order.enumerated().dropLast(minimum) {
            sum += weights[place] / total
            guard sum <= Double(1 - share) else { break }
            scores[index] = -.infinity
        }
    }
}
