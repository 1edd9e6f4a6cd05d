import Testing

@testable import RAGKit

@Suite struct FlatIndexTests {
    /// Every score in Double, sorted, ties by lower id.
    private func bruteForce(
        _ vectors: Tensor, _ query: Tensor, count: Int, excluding: Set<PassageID> = []
    ) -> [SearchHit] {
        let all = (0..<vectors.dim(0)).filter { !excluding.contains(PassageID($0)) }.map {
            (PassageID($0), dot(query, vectors.slice($0..<$0 + 1)))
        }
        return all.sorted { ($1.1, $0.0) < ($0.1, $1.0) }.prefix(count).map {
            SearchHit(id: $0.0, score: Float($0.1))
        }
    }

    private func expectSame(
        _ found: [SearchHit], _ expected: [SearchHit],
        sourceLocation: SourceLocation = #_sourceLocation
    ) {
        #expect(found.map(\.id) == expected.map(\.id), sourceLocation: sourceLocation)
        expectClose(
            found.map { Double($0.score) }, expected.map { Double($0.score) }, relative: 1e-4,
            ofRootMeanSquare: 1e-5, sourceLocation: sourceLocation)
    }

    @Test(arguments: [1, 2, 5, 700, 1100], [1, 3, 64])
    func bruteForceFindsTheSame(rows: Int, dimension: Int) throws {
        var numbers = SeededGenerator(seed: UInt64(rows * 100 + dimension))
        let vectors = Tensor.randomNormal([rows, dimension], using: &numbers)
        let queries = Tensor.randomNormal([4, dimension], using: &numbers)
        let index = FlatIndex(vectors)
        #expect(index.count == rows && index.dimension == dimension)
        for count in [1, 4, rows, rows + 10] {
            let found = try index.search(queries, count: count)
            #expect(found.count == 4)
            for query in 0..<4 {
                expectSame(
                    found[query],
                    bruteForce(vectors, queries.slice(query..<query + 1), count: count))
            }
        }
        let id = PassageID(rows / 2)
        #expect(
            index.vectors(of: [id, 0, id]).elements
                == vectors.rows([Int32(rows / 2), 0, Int32(rows / 2)]).elements)
    }

    /// Whole numbers, so that equal scores are equal to the last bit.
    @Test func tiesGoToTheLowerID() throws {
        let rows = 1200
        let vectors = Tensor((0..<rows * 2).map { Float($0 % 3) }, shape: [rows, 2])
        let queries = Tensor([1, 2, 0, 0, -1, 1], shape: [3, 2])
        let found = try FlatIndex(vectors).search(queries, count: 30)
        for query in 0..<3 {
            #expect(
                found[query] == bruteForce(vectors, queries.slice(query..<query + 1), count: 30))
        }
        #expect(found[1].map(\.id.rawValue) == Array(0..<30), "all scores are 0")
    }

    /// What is excluded is made up for by what comes next.
    @Test func exclusion() throws {
        var numbers = SeededGenerator(seed: 5)
        let vectors = Tensor.randomNormal([40, 5], using: &numbers)
        let queries = Tensor.randomNormal([3, 5], using: &numbers)
        let index = FlatIndex(vectors)
        let best = try index.search(queries, count: 10)
        let excluded: [Set<PassageID>] = [
            Set(best[0].prefix(4).map(\.id)), [], Set((0..<39).map { PassageID($0) }),
        ]
        let found = try index.search(queries, count: 10, SearchParameters(excluded: excluded))
        for query in 0..<3 {
            expectSame(
                found[query],
                bruteForce(
                    vectors, queries.slice(query..<query + 1), count: 10,
                    excluding: excluded[query]))
        }
        #expect(found[2].map(\.id) == [39])
        let everything = Set((0..<50).map { PassageID($0) })
        let all = try index.search(
            queries, count: 10,
            SearchParameters(excluded: [everything, everything, everything]))
        #expect(all == [[], [], []])
    }

    @Test func emptyIndexesAndQueries() throws {
        let empty = FlatIndex(Tensor.zeros([0, 4]))
        #expect(try empty.search(Tensor.zeros([2, 4]), count: 3) == [[], []])
        let index = FlatIndex(Tensor.zeros([3, 4]))
        #expect(try index.search(Tensor.zeros([0, 4]), count: 3).isEmpty)
    }

    @Test func whatCannotBeSearched() {
        let index = FlatIndex(Tensor.zeros([3, 4]))
        for count in [0, -2] {
            #expect(throws: IndexError.invalidCount(count)) {
                _ = try index.search(Tensor.zeros([1, 4]), count: count)
            }
        }
        let error = #expect(throws: IndexError.dimensionMismatch(expected: 4, found: 5)) {
            _ = try index.search(Tensor.zeros([1, 5]), count: 1)
        }
        #expect(error?.description.contains("vectors of 4") == true)
    }
}
