import Foundation
import Testing

@testable import RAGKit

@Suite struct RelativeBiasTests {
    // MARK: Buckets

    /// Against `Fixtures/t5-buckets/expected.json`, which `make_fixture.py` beside it wrote.
    @Test(.tags(.golden)) func bucketsAreTheReferences() throws {
        let file = URL(fileURLWithPath: #filePath).deletingLastPathComponent()
            .deletingLastPathComponent().appendingPathComponent("Fixtures/t5-buckets/expected.json")
        let json = try JSONValue(contentsOf: file)
        let reach = try #require(try json.int("reach"))
        let cases = try #require(try json.array("cases"))
        #expect(cases.count == 18)
        for one in cases {
            let buckets = RelativePositionBuckets(
                count: try #require(try one.int("count")),
                maxDistance: try #require(try one.int("max_distance")),
                isBidirectional: try one.bool("bidirectional") ?? false)
            let expected = try #require(try one.array("buckets")).flatMap { run in
                let run = try #require(run.arrayValue).compactMap(\.intValue)
                return [Int](repeating: run[0], count: run[1])
            }
            #expect((-reach...reach).map { buckets($0) } == expected, "\(buckets)")
        }
    }

    /// As the paper says it, in Double. Where the logarithm meets a whole number, rounding decides,
    /// and only the reference's values can tell.
    @Test(arguments: [(32, 128), (12, 30), (6, 100), (48, 4000)], [false, true])
    func bucketsGrowWithTheLogarithm(setting: (Int, Int), isBidirectional: Bool) {
        let buckets = RelativePositionBuckets(
            count: setting.0, maxDistance: setting.1, isBidirectional: isBidirectional)
        let own = isBidirectional ? setting.0 / 2 : setting.0
        let near = Double(own / 2)
        for distance in -5000...5000 {
            let away = Double(isBidirectional ? abs(distance) : max(0, -distance))
            var bucket = away
            if away >= near {
                let ratio = log(away / near) / log(Double(setting.1) / near)
                let place = ratio * (Double(own) - near)
                if abs(place - place.rounded()) < 1e-4 { continue }
                bucket = min(near + place.rounded(.down), Double(own - 1))
            }
            if isBidirectional && distance > 0 { bucket += Double(own) }
            #expect(buckets(distance) == Int(bucket), "distance \(distance)")
        }
    }

    @Test func bucketsOfAllDistancesExist() {
        for isBidirectional in [false, true] {
            let buckets = RelativePositionBuckets(
                count: 10, maxDistance: 40, isBidirectional: isBidirectional)
            let found = Set((-100_000...100_000).map { buckets($0) })
            // The first bucket of what lies ahead would be distance 0, which is not ahead.
            #expect(found == Set(0..<10).subtracting(isBidirectional ? [5] : []))
        }
    }

    // MARK: Diagonals

    @Test(arguments: [(1, 1, 1), (2, 1, 5), (3, 4, 1), (2, 3, 6), (5, 9, 9)])
    func diagonalsAreExpanded(matrices: Int, rows: Int, columns: Int) {
        var generator = SeededGenerator(seed: 3)
        let diagonals = rows + columns - 1
        let numbers = Tensor.randomNormal([matrices, diagonals], using: &generator)
        let found = numbers.expandedDiagonals(rows: rows)
        #expect(found.shape == [matrices, rows, columns])
        var expected: [Double] = []
        for matrix in 0..<matrices {
            for row in 0..<rows {
                for column in 0..<columns {
                    expected.append(
                        numbers.doubles[matrix * diagonals + column - row + rows - 1])
                }
            }
        }
        expectClose(found, expected, relative: 0, ofRootMeanSquare: 0)
        expectGradient(of: { $0.expandedDiagonals(rows: rows) }, at: numbers, seed: 4)
    }

    // MARK: The module

    private static func bias(isBidirectional: Bool) -> T5RelativeBias {
        let bias = T5RelativeBias(TinyModels.t5, isBidirectional: isBidirectional)
        bias.randomize(seed: 12)
        return bias
    }

    @Test(arguments: [false, true])
    func eachPairHasTheNumberOfItsBucket(isBidirectional: Bool) {
        let bias = Self.bias(isBidirectional: isBidirectional)
        for (queries, keys) in [(0..<1, 1), (0..<9, 9), (3..<4, 12), (2..<7, 5), (30..<31, 32)] {
            let found = bias(queries: queries, keys: keys)
            #expect(found.shape == [3, queries.count, keys])
            let expected = (0..<3).flatMap { head in
                queries.flatMap { query in
                    (0..<keys).map { key in
                        bias.weight.value.doubles[bias.buckets(key - query) * 3 + head]
                    }
                }
            }
            expectClose(found, expected, relative: 0, ofRootMeanSquare: 0)
        }
    }

    /// The gradient of each number in the table, one at a time, through the fused attention of a
    /// ragged batch.
    @Test(arguments: [false, true])
    func gradientOfTheTable(isBidirectional: Bool) throws {
        let bias = Self.bias(isBidirectional: isBidirectional)
        var generator = SeededGenerator(seed: 5)
        let offsets = [0, 4, 5, 13]
        let inputs = (0..<3).map { _ in Tensor.randomNormal([13, 15], using: &generator) }
        let cotangent = Tensor.randomDirection([13, 15], using: &generator)
        func attended() -> Tensor {
            .attention(
                inputs[0], inputs[1], inputs[2], segments: SegmentMap(selfAttention: offsets),
                heads: 3, causal: !isBidirectional, scale: 1,
                headBias: bias(queries: 0..<8, keys: 8))
        }
        let gradient = try #require(
            gradients(of: (attended() * cotangent).sum(), for: [bias.weight])[bias.weight])
        let table = bias.weight.value
        let step: Float = 1e-2
        let numeric = table.elements.indices.map { index in
            func weighed(_ distance: Float) -> Double {
                var moved = table.elements
                moved[index] += distance
                bias.weight.update(Tensor(moved, shape: table.shape))
                return withoutGradients { dot(attended(), cotangent) }
            }
            return (weighed(step) - weighed(-step)) / (2 * Double(step))
        }
        expectClose(gradient, numeric, relative: 1e-2, ofRootMeanSquare: 1e-2)
        // Sequences of up to 8 tokens are 7 apart at most: the last bucket is not in reach.
        let reached = Set((-7...(isBidirectional ? 7 : 0)).map { bias.buckets($0) })
        for bucket in 0..<8 {
            let row = gradient.elements[bucket * 3..<(bucket + 1) * 3]
            #expect(row.contains { $0 != 0 } == reached.contains(bucket), "bucket \(bucket)")
        }
    }

    @Test func misuseStops() async {
        await #expect(processExitsWith: .failure) {
            _ = RelativePositionBuckets(count: 3, maxDistance: 9, isBidirectional: true)
        }
        await #expect(processExitsWith: .failure) {
            _ = RelativePositionBuckets(count: 32, maxDistance: 16, isBidirectional: false)
        }
        await #expect(processExitsWith: .failure) {
            _ = Tensor.zeros([2, 3]).expandedDiagonals(rows: 4)
        }
    }
}
