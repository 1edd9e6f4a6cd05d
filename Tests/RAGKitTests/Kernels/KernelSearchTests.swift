import Foundation
import RAGKitBLAS
import Testing

extension KernelTests {
    @Suite(.serialized) struct Search {
        /// Values on a coarse grid, so that sums are exact and ties are many.
        private func vectors(_ count: Int, _ random: inout TestRandom) -> [Float] {
            (0..<count).map { _ in Float(random.int(5) - 2) }
        }

        private func bruteForce(
            _ query: ArraySlice<Float>, _ base: [Float], _ dimension: Int, _ count: Int,
            _ excluded: Set<Int>
        ) -> [(Int, Float)] {
            let start = query.startIndex
            let all = (0..<base.count / max(dimension, 1)).filter { !excluded.contains($0) }.map {
                row in
                (
                    row,
                    (0..<dimension).reduce(Float(0)) {
                        $0 + query[start + $1] * base[row * dimension + $1]
                    }
                )
            }
            let best = all.sorted { a, b in
                if a.1.isNaN != b.1.isNaN { return b.1.isNaN }
                return !a.1.isNaN && a.1 != b.1 ? a.1 > b.1 : a.0 < b.0
            }
            return Array(best.prefix(count))
                + [(Int, Float)](repeating: (-1, -.infinity), count: max(0, count - best.count))
        }

        @Test(arguments: [
            (0, 5, 8), (1, 1, 1), (1, 3000, 8), (3, 700, 33), (20, 1500, 17), (150, 1200, 16),
        ])
        func againstBruteForce(queries: Int, rows: Int, dimension: Int) {
            atEachLevel { level in
                var random = TestRandom(91)
                let query = vectors(queries * dimension, &random)
                var base = vectors(rows * dimension, &random)
                if rows > 10 {
                    base[3 * dimension] = .nan
                    base[7 * dimension] = .nan
                    base[9 * dimension] = .infinity
                }
                for exclusion in [false, true] {
                    let lists = (0..<queries).map { _ in
                        Set(
                            (0..<(exclusion ? min(rows, 1 + random.int(50)) : 0)).map { _ in
                                random.int(rows)
                            }
                        ).sorted()
                    }
                    let offsets = lists.reduce(into: [0]) { $0.append($0.last! + $1.count) },
                        flat = lists.flatMap { $0 } + [0]
                    for count in [0, 1, 5, rows] where count <= rows {
                        var found = [Int](repeating: 99, count: queries * count)
                        var scores = [Float](repeating: 99, count: queries * count)
                        if exclusion {
                            ragkit_search(
                                queries, rows, dimension, query, base, count, offsets, flat, &found,
                                &scores)
                        } else {
                            ragkit_search(
                                queries, rows, dimension, query, base, count, nil, nil, &found,
                                &scores)
                        }
                        for i in 0..<queries {
                            let expected = bruteForce(
                                query[i * dimension..<(i + 1) * dimension], base, dimension, count,
                                Set(lists[i]))
                            let rowsFound = Array(found[i * count..<(i + 1) * count])
                            #expect(
                                rowsFound == expected.map { $0.0 },
                                "query \(i) of \(queries), count \(count), level \(level)")
                            let alike = zip(scores[i * count..<(i + 1) * count], expected)
                                .allSatisfy {
                                    $0 == $1.1 || ($0.isNaN && $1.1.isNaN)
                                }
                            #expect(
                                alike,
                                "scores of query \(i) of \(queries), count \(count), level \(level)"
                            )
                        }
                    }
                }
            }
        }

        @Test func threadsChangeNoBits() {
            var random = TestRandom(92)
            let query = random.floats(40 * 64), base = random.floats(9000 * 64)
            expectSameBits {
                var found = [Int](repeating: 0, count: 400),
                    scores = [Float](repeating: 0, count: 400)
                ragkit_search(40, 9000, 64, query, base, 10, nil, nil, &found, &scores)
                return scores + found.map { Float($0) }
            }
        }
    }
}
