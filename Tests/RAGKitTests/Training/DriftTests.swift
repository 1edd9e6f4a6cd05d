import Testing

@testable import RAGKit

@Suite struct DriftTests {
    private func drift(_ new: Tensor, _ old: Tensor, of rows: [Int]) -> Double {
        let places = rows.map { Int32($0) }
        let (now, before) = (new.rows(places).doubles, old.rows(places).doubles)
        let moved = zip(now, before).reduce(0) { $0 + ($1.0 - $1.1) * ($1.0 - $1.1) }
        return (moved / before.reduce(0) { $0 + $1 * $1 }).squareRoot()
    }

    /// Rows that lie evenly among all, and no others.
    @Test(arguments: [
        (10, 4, [0, 2, 5, 7]), (9, 3, [0, 3, 6]), (7, 1, [0]), (5, 5, [0, 1, 2, 3, 4]),
        (3, 100, [0, 1, 2]), (6, 4, [0, 1, 3, 4]),
    ])
    func sample(count: Int, size: Int, rows: [Int]) {
        var numbers = SeededGenerator(seed: UInt64(count))
        let old = Tensor.randomNormal([count, 3], using: &numbers)
        let new = Tensor.randomNormal([count, 3], using: &numbers)
        let expected = drift(new, old, of: rows)
        let found = FlatIndex(new).drift(from: FlatIndex(old), sampleSize: size)
        expectClose(found, expected, relative: 1e-5)
        // Ids of their own are compared too.
        let ids = (0..<count).map { PassageID(3 * $0 + 1) }
        let (late, early) = (VectorFile(new, ids: ids), VectorFile(old, ids: ids))
        expectClose(
            FlatIndex(late).drift(from: FlatIndex(early), sampleSize: size), expected,
            relative: 1e-5)
        #expect(FlatIndex(late).drift(from: FlatIndex(old), sampleSize: size).isNaN)
        if rows.count < count {
            // All together drift in another measure, so that a sample of others would show.
            #expect(abs(drift(new, old, of: Array(0..<count)) - expected) > 1e-3)
        }
    }

    @Test func whatCannotBeCompared() {
        let index = FlatIndex(.full([4, 3], 1))
        #expect(index.drift(from: index) == 0)
        for shape in [[5, 3], [4, 2], [0, 3]] {
            #expect(index.drift(from: FlatIndex(.full(shape, 1))).isNaN, "\(shape)")
        }
        #expect(FlatIndex(.zeros([0, 3])).drift(from: FlatIndex(.zeros([0, 3]))).isNaN)
        // From nothing to something is no division by zero.
        #expect(index.drift(from: FlatIndex(.zeros([4, 3]))) > 1e100)
    }
}
