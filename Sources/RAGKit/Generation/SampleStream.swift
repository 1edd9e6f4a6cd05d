import Foundation
import RAGKitBLAS

/// Random numbers that are a function of seed, question, row and step, whatever else is decoded at
/// the same time.
struct SampleStream {
    let seed: UInt64

    /// A number of 0..<1 for one draw.
    func uniform(question: Int, row: Int, step: Int) -> Double {
        let words = block(question, row, step, 0)
        return Self.uniform(words.0, words.1)
    }

    /// Draws one token of each row, in proportion to the exponentials of its scores.
    ///
    /// - Parameter scores: `[vocabulary]`; not all are -∞.
    func token(
        _ scores: UnsafeMutableBufferPointer<Float>, question: Int, row: Int, step: Int
    ) -> Int32 {
        let best = scores.reduce(-Float.infinity) { max($0, $1) }
        var total = 0.0
        for score in scores { total += exp(Double(score - best)) }
        var left = uniform(question: question, row: row, step: step) * total
        var last = 0
        for (token, score) in scores.enumerated() where score > -.infinity {
            left -= exp(Double(score - best))
            last = token
            if left < 0 { break }
        }
        return Int32(last)
    }

    /// Draws `count` different continuations of a group of beams, in proportion to the exponentials
    /// of their scores: those with the best sums of score and Gumbel noise.
    ///
    /// - Returns: places `beam · vocabulary + token` and their scores, best score first.
    ///
    /// Source: Kool et al. 2019, arXiv:1903.06059, section 2.3.
    func continuations(
        _ scores: UnsafePointer<Float>, beams: Int, vocabulary: Int, rowStride: Int,
        offsets: ArraySlice<Float>, count: Int, question: Int, step: Int
    ) -> [(place: Int32, score: Float)] {
        var drawn: [(key: Double, place: Int32, score: Float)] = []
        for (beam, offset) in offsets.enumerated() {
            for token in 0..<vocabulary {
                let score = scores[beam * rowStride + token] + offset
                let place = beam * vocabulary + token
                guard score > -.infinity || drawn.count < count else { continue }
                let words = block(question, place, step, 1)
                let noise = -log(-log(max(Self.uniform(words.0, words.1), .leastNormalMagnitude)))
                let key = Double(score) + noise
                if drawn.count == count {
                    guard let worst = drawn.last, key > worst.key else { continue }
                    drawn.removeLast()
                }
                let index = drawn.firstIndex { $0.key < key } ?? drawn.count
                drawn.insert((key, Int32(place), score), at: index)
            }
        }
        return drawn.map { ($0.place, $0.score) }
            .sorted { ($0.1, $1.0) > ($1.1, $0.0) }
    }

    private func block(
        _ question: Int, _ row: Int, _ step: Int, _ use: UInt32
    ) -> (UInt32, UInt32) {
        let counter =
            [UInt32(truncatingIfNeeded: question), UInt32(truncatingIfNeeded: row)]
            + [UInt32(truncatingIfNeeded: step), use]
        let key = [UInt32(truncatingIfNeeded: seed), UInt32(truncatingIfNeeded: seed >> 32)]
        var words: [UInt32] = [0, 0, 0, 0]
        ragkit_philox(counter, key, &words)
        return (words[0], words[1])
    }

    /// 53 random bits as a number of 0..<1.
    private static func uniform(_ low: UInt32, _ high: UInt32) -> Double {
        Double((UInt64(high) << 32 | UInt64(low)) >> 11) * 0x1p-53
    }
}
