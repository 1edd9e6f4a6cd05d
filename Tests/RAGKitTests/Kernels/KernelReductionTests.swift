import Foundation
import RAGKitBLAS
import Testing

extension KernelTests {
    @Suite(.serialized) struct Reductions {
        @Test func wholeArrays() {
            atEachLevel { level in
                var random = TestRandom(11)
                for n in kernelSizes + [100_003] {
                    let x = random.floats(n), y = random.floats(n)
                    let sum = x.reduce(0.0) { $0 + Double($1) }
                    #expect(abs(ragkit_sum(n, x) - sum) < 1e-9, "sum of \(n), level \(level)")
                    let squares = x.reduce(0.0) { $0 + Double($1) * Double($1) }
                    #expect(abs(ragkit_sum_of_squares(n, x) - squares) <= 1e-12 * squares)
                    let dot = zip(x, y).reduce(0.0) { $0 + Double($1.0) * Double($1.1) }
                    #expect(abs(ragkit_dot(n, x, y) - dot) < 1e-9)
                    #expect(ragkit_all_finite(n, x))
                    for position in [0, n / 2, n - 1] where n > 0 {
                        for bad: Float in [.nan, .infinity, -.infinity] {
                            var z = x
                            z[position] = bad
                            #expect(!ragkit_all_finite(n, z))
                        }
                    }
                }
            }
        }

        @Test func rowsAndColumns() {
            atEachLevel { level in
                var random = TestRandom(12)
                for (rows, width) in [
                    (0, 3), (3, 0), (1, 1), (7, 1), (5, 16), (33, 17), (600, 7), (257, 1003),
                ] {
                    let x = random.floats(rows * width), z = random.floats(rows * width)
                    func at(_ r: Int, _ c: Int) -> Double { Double(x[r * width + c]) }
                    let start = random.floats(width)
                    for accumulate in [false, true] {
                        var y = start
                        ragkit_sum_rows(rows, width, x, accumulate, &y)
                        let expected = (0..<width).map { c in
                            summed(rows, from: accumulate ? Double(start[c]) : 0) { at($0, c) }
                        }
                        expectClose(y, expected, "sum rows \(rows)x\(width), level \(level)")
                    }
                    var y = [Float](repeating: 9, count: rows)
                    ragkit_sum_columns(rows, width, x, &y)
                    expectClose(y, (0..<rows).map { r in summed(width) { at(r, $0) } })
                    ragkit_dot_rows(rows, width, x, z, &y)
                    expectClose(
                        y,
                        (0..<rows).map { r in
                            summed(width) { at(r, $0) * Double(z[r * width + $0]) }
                        })
                }
            }
        }

        @Test func maxima() {
            atEachLevel { level in
                var random = TestRandom(13)
                for width in kernelSizes where width > 0 {
                    var x = (0..<6 * width).map { _ in Float(random.int(50)) - 60 }  // many ties
                    x[width] = .nan
                    x[2 * width - 1] = .infinity
                    x[3 * width - 1] = .nan
                    for c in 0..<width { x[3 * width + c] = -.infinity }
                    var y = [Float](repeating: 0, count: 6),
                        indices = [Int32](repeating: -1, count: 6)
                    ragkit_max_columns(6, width, x, &y, &indices)
                    for r in 0..<6 {
                        let row = Array(x[r * width..<(r + 1) * width])
                        let expected = row.contains { $0.isNaN } ? Float.nan : row.max()!
                        let first = row.firstIndex { expected.isNaN ? $0.isNaN : $0 == expected }!
                        #expect(
                            y[r] == expected || (y[r].isNaN && expected.isNaN),
                            "width \(width), row \(r)")
                        #expect(
                            Int(indices[r]) == first, "width \(width), row \(r), level \(level)")
                    }
                    ragkit_max_columns(6, width, x, &y, nil)
                    #expect(y[0] == x[0..<width].max()!)
                }
            }
        }

        @Test func threadsChangeNoBits() {
            var random = TestRandom(14)
            let x = random.floats(300_000), y = random.floats(300_000)
            expectSameBits {
                var rows = [Float](repeating: 0, count: 300)
                ragkit_sum_rows(1000, 300, x, false, &rows)
                return rows + [
                    Float(ragkit_sum(300_000, x) * 1e6), Float(ragkit_dot(300_000, x, y) * 1e6),
                    Float(ragkit_sum_of_squares(300_000, x) * 1e6),
                ]
            }
        }
    }

    @Suite(.serialized) struct Rows {
        @Test func gatherScatterEmbed() {
            atEachLevel { level in
                var random = TestRandom(21)
                for (count, width) in [(0, 4), (5, 1), (7, 17), (33, 100), (500, 100)] {
                    let table = random.floats(20 * width),
                        ids = (0..<count).map { _ in Int32(random.int(20)) }
                    var y = [Float](repeating: 9, count: count * width)
                    ragkit_gather_rows(count, width, ids, table, &y)
                    for i in 0..<count * width {
                        #expect(y[i] == table[Int(ids[i / width]) * width + i % width])
                    }

                    let x = random.floats(count * width)
                    var sums = table, naive = doubles(table)
                    ragkit_scatter_add_rows(count, width, 20, ids, 0.5, x, &sums)
                    for i in 0..<count * width {
                        naive[Int(ids[i / width]) * width + i % width] += 0.5 * Double(x[i])
                    }
                    expectClose(
                        sums, naive, absolute: 1e-5, "scatter \(count)x\(width), level \(level)")

                    let positions = random.floats(9 * width), types = random.floats(2 * width)
                    let position = (0..<count).map { Int32($0 % 9) },
                        type = (0..<count).map { Int32($0 % 2) }
                    func word(_ i: Int) -> Double {
                        3 * Double(table[Int(ids[i / width]) * width + i % width])
                    }
                    ragkit_embed(count, width, 3, ids, table, position, positions, type, types, &y)
                    expectClose(
                        y,
                        (0..<count * width).map {
                            word($0)
                                + Double(positions[Int(position[$0 / width]) * width + $0 % width])
                                + Double(types[Int(type[$0 / width]) * width + $0 % width])
                        }, absolute: 5e-7)
                    ragkit_embed(count, width, 3, ids, table, nil, nil, nil, nil, &y)
                    expectClose(y, (0..<count * width).map(word))
                }
            }
        }

        @Test func scatterKeepsItsOrder() {
            var random = TestRandom(22)
            let x = random.floats(2000 * 300), ids = (0..<2000).map { _ in Int32(random.int(7)) }
            expectSameBits {
                var y = [Float](repeating: 0, count: 7 * 300)
                ragkit_scatter_add_rows(2000, 300, 7, ids, 0.7, x, &y)
                return y
            }
        }

        @Test func segmentMeans() {
            atEachLevel { level in
                var random = TestRandom(23)
                for width in [1, 17, 300] {
                    let offsets = [0, 3, 3, 4, 120, 250, 250]
                    let x = random.floats(250 * width)
                    var y = [Float](repeating: 9, count: 6 * width)
                    ragkit_segment_mean(6, width, offsets, x, &y)
                    expectClose(
                        y,
                        (0..<6 * width).map { i in
                            let rows = offsets[i / width]..<offsets[i / width + 1]
                            return rows.isEmpty
                                ? 0
                                : rows.reduce(0.0) { $0 + Double(x[$1 * width + i % width]) }
                                    / Double(rows.count)
                        }, "width \(width), level \(level)")
                    let dy = random.floats(6 * width)
                    var dx = [Float](repeating: 9, count: 250 * width)
                    ragkit_segment_mean_gradient(6, width, offsets, dy, &dx)
                    expectClose(
                        dx,
                        (0..<250 * width).map { i in
                            let s = (0..<6).first {
                                offsets[$0] <= i / width && i / width < offsets[$0 + 1]
                            }!
                            return Double(dy[s * width + i % width])
                                / Double(offsets[s + 1] - offsets[s])
                        })
                }
                ragkit_segment_mean(0, 4, [0], [], nil)
            }
        }

        @Test func transpose() {
            var random = TestRandom(24)
            for (rows, width) in [(0, 3), (3, 0), (1, 1), (7, 33), (100, 17), (400, 129)] {
                let x = random.floats(rows * width)
                var y = [Float](repeating: 9, count: rows * width)
                ragkit_transpose(rows, width, x, &y)
                for r in 0..<rows {
                    for c in 0..<width { #expect(y[c * rows + r] == x[r * width + c]) }
                }
            }
        }
    }
}
