import Foundation
import RAGKitBLAS

/// Sorts distances between tokens into buckets. Near distances have one bucket each, far ones share
/// buckets of logarithmic width, and all beyond a limit share the last.
///
/// Source: Raffel et al. 2020, arXiv:1910.10683, section 2.1.
struct RelativePositionBuckets: Equatable {
    /// The number of buckets, both directions together.
    let count: Int
    /// The distance from which on all share the last bucket.
    let maxDistance: Int
    /// True if keys after the query have their own half of the buckets. Otherwise they share the
    /// bucket of distance 0.
    let isBidirectional: Bool

    /// - Precondition: each direction has a bucket for near and one for far distances, and
    ///   `maxDistance` lies beyond the near ones.
    init(count: Int, maxDistance: Int, isBidirectional: Bool) {
        precondition(
            count >= 4 && maxDistance > count / 2,
            "relative positions: \(count) buckets up to distance \(maxDistance)")
        self.count = count
        self.maxDistance = maxDistance
        self.isBidirectional = isBidirectional
    }

    /// The bucket of a key `distance` tokens after its query; negative if the key is before it.
    func callAsFunction(_ distance: Int) -> Int {
        let perDirection = isBidirectional ? count / 2 : count
        let first = isBidirectional && distance > 0 ? perDirection : 0
        let away = isBidirectional ? abs(distance) : max(0, -distance)
        let exact = perDirection / 2
        guard away >= exact else { return first + away }
        // In Float32, step by step as the reference does: at the ends of ranges rounding decides.
        let share =
            log(Float(away) / Float(exact)) / Float(log(Double(maxDistance) / Double(exact)))
        let far = exact + Int(share * Float(perDirection - exact))
        return first + min(far, perDirection - 1)
    }
}

/// T5's relative bias: one number for each head and bucket of distances, added to attention scores.
/// All layers of a stack share one table.
final class T5RelativeBias: Module {
    /// `[buckets, heads]`.
    let weight: Parameter
    let buckets: RelativePositionBuckets

    init(_ config: T5Configuration, isBidirectional: Bool) {
        buckets = RelativePositionBuckets(
            count: config.relativeAttentionNumBuckets,
            maxDistance: config.relativeAttentionMaxDistance, isBidirectional: isBidirectional)
        weight = Parameter(
            [buckets.count, config.numHeads],
            .normal(
                standardDeviation: config.initializerFactor / Float(config.dModel).squareRoot()))
    }

    /// - Parameters:
    ///   - queries: the queries' positions in the sequence.
    ///   - keys: the number of keys, from position 0 on.
    /// - Returns: `[heads, queries, keys]`.
    func callAsFunction(queries: Range<Int>, keys: Int) -> Tensor {
        // From the last query's distance to the first key to the first query's to the last key.
        let distances = (1 - queries.upperBound)..<(keys - queries.lowerBound)
        return weight.tensor.rows(distances.map { Int32(buckets($0)) })
            .transposed().expandedDiagonals(rows: queries.count)
    }
}

extension Tensor {
    /// Toeplitz matrices from the numbers of their diagonals, the lower left corner's first:
    /// `[matrices, diagonals]` → `[matrices, rows, diagonals - rows + 1]`.
    ///
    /// - Precondition: `1 <= rows <= diagonals`.
    func expandedDiagonals(rows: Int) -> Tensor {
        precondition(
            rank == 2 && rows >= 1 && rows <= dim(1),
            "expandedDiagonals: \(rows) rows of \(shape)")
        let (matrices, diagonals) = (dim(0), dim(1))
        let columns = diagonals - rows + 1
        // Each row is a run of the diagonals, one to the left of the run of the row above.
        func forEachRow(_ body: (_ run: Int, _ row: Int) -> Void) {
            for matrix in 0..<matrices {
                for row in 0..<rows {
                    body(matrix * diagonals + rows - 1 - row, (matrix * rows + row) * columns)
                }
            }
        }
        let numbers = detached
        let value = Tensor(shape: [matrices, rows, columns]) { result in
            forEachRow { run, row in
                (result + row).update(from: numbers.pointer + run, count: columns)
            }
        }
        return .record("expandedDiagonals", [self], value: value) { gradient, sink in
            sink.accumulate(into: 0) { buffer, accumulate in
                if !accumulate { ragkit_fill(matrices * diagonals, 0, buffer) }
                forEachRow { run, row in
                    ragkit_axpy(columns, 1, gradient.pointer + row, buffer + run)
                }
            }
        }
    }
}
