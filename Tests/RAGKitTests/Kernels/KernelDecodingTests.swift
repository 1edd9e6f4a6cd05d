import Foundation
import RAGKitBLAS
import Testing

extension KernelTests {
    @Suite(.serialized) struct Decoding {
        @Test(arguments: [(0, 2, 1), (1, 1, 1), (2, 3, 4), (3, 5, 2), (1, 7, 1)])
        func marginal(groups: Int, documents: Int, beams: Int) {
            atEachLevel { level in
                var random = TestRandom(41)
                for width in kernelSizes where width > 0 {
                    let rows = groups * documents * beams
                    let logits = random.floats(rows * width, -9, 9)
                    let priors = random.floats(groups * documents, -4, 0)
                    var lse = [Float](repeating: 0, count: max(rows, 1))
                    var found = [Float](repeating: 0, count: max(groups * beams * width, 1))
                    ragkit_marginal_log_probabilities(
                        groups, documents, beams, width, logits, priors, &lse, &found)
                    for group in 0..<groups {
                        for beam in 0..<beams {
                            let own = (0..<documents).map { document in
                                let row = (group * documents + document) * beams + beam
                                return doubles(Array(logits[row * width..<(row + 1) * width]))
                            }
                            let sums = own.map(naiveLogSumExp)
                            let expected = (0..<width).map { word in
                                naiveLogSumExp(
                                    (0..<documents).map {
                                        own[$0][word] - sums[$0]
                                            + Double(priors[group * documents + $0])
                                    })
                            }
                            let start = (group * beams + beam) * width
                            expectClose(
                                Array(found[start..<start + width]), expected, relative: 1e-6,
                                absolute: 3e-6, "width \(width), level \(level)")
                            for (document, sum) in sums.enumerated() {
                                let row = (group * documents + document) * beams + beam
                                #expect(abs(Double(lse[row]) - sum) < 1e-5)
                            }
                        }
                    }
                }
            }
        }

        /// Against sorting everything; scores are coarse, so that many tie.
        @Test(arguments: [1, 2, 8, 40])
        func topScores(count: Int) {
            atEachLevel { level in
                var random = TestRandom(UInt64(count))
                for (rows, width) in [(1, 1), (1, 7), (4, 33), (3, 1003), (2, 16)] {
                    for special in [false, true] {
                        let groups = 3
                        var scores = (0..<groups * rows * width).map { _ in
                            Float(random.int(special ? 3 : 50)) / 4 - 5
                        }
                        if special {
                            for index in scores.indices where random.int(3) > 0 {
                                scores[index] = random.int(9) == 0 ? .nan : -.infinity
                            }
                        }
                        let offsets = (0..<groups * rows).map { row -> Float in
                            row % 3 == 2 ? -1e9 : random.uniform(-3, 0)
                        }
                        var best = [Int32](repeating: 0, count: groups * count)
                        var found = [Float](repeating: 0, count: groups * count)
                        ragkit_top_scores(
                            groups, rows, width, scores, rows * width, width, offsets, count, &best,
                            &found)
                        for group in 0..<groups {
                            let all = (0..<rows * width).map { place -> (Float, Int) in
                                let score =
                                    scores[group * rows * width + place]
                                    + offsets[group * rows + place / width]
                                return (score.isNaN ? -.infinity : score, place)
                            }.sorted { ($0.0, $1.1) > ($1.0, $0.1) }.prefix(count)
                            let expected = Array(all)
                            for place in 0..<count {
                                let index = group * count + place
                                let none = place >= expected.count
                                #expect(
                                    best[index] == (none ? -1 : Int32(expected[place].1)),
                                    "\(rows)x\(width), level \(level)")
                                #expect(found[index] == (none ? -.infinity : expected[place].0))
                            }
                        }
                    }
                }
            }
        }

        /// The first step's beams are all one row.
        @Test func rowsMayBeOne() {
            let scores: [Float] = [1, 5, 3]
            var best = [Int32](repeating: 0, count: 5)
            var found = [Float](repeating: 0, count: 5)
            ragkit_top_scores(1, 2, 3, scores, 3, 0, [0, -1e9], 5, &best, &found)
            #expect(Array(best.prefix(4)) == [1, 2, 0, 3])
            #expect(found == [5, 3, 1, -1e9, -1e9])
        }
    }
}
