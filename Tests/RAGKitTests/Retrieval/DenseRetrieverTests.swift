import Testing

@testable import RAGKit

@Suite struct DenseRetrieverTests {
    private func base(_ count: Int) -> KnowledgeBase {
        KnowledgeBase(
            passages: (0..<count).map {
                Passage(id: PassageID($0), title: "Title \($0)", text: "Text \($0)")
            })
    }

    @Test func findsPassagesWithVectorsAndScores() async throws {
        var numbers = SeededGenerator(seed: 1)
        let vectors = Tensor.randomNormal([20, 4], using: &numbers)
        let retriever = try DenseRetriever(base(20), vectors: vectors)
        #expect(retriever.needs == .vector && retriever.version.number == 0)
        let queries = (0..<3).map { _ in
            RetrievalQuery(text: "", vector: .randomNormal([4], using: &numbers))
        }
        let found = try await retriever.passages(for: queries, count: 5)
        for (query, list) in zip(queries, found) {
            let vector = try #require(query.vector)
            let best = (0..<20).map { dot(vector, vectors.slice($0..<$0 + 1)) }.sorted(by: >)
            expectClose(
                list.map { Double($0.score) }, Array(best.prefix(5)), relative: 1e-4)
            for hit in list {
                let id = hit.passage.id.rawValue
                #expect(hit.passage.title == "Title \(id)")
                #expect(hit.vector?.elements == vectors.slice(id..<id + 1).elements)
                expectClose(
                    Double(hit.score), dot(vector, try #require(hit.vector)), relative: 1e-4)
            }
        }
        #expect(try await retriever.passages(for: [], count: 5).isEmpty)
        #expect(try await retriever.passages(for: queries, count: 50).map(\.count) == [20, 20, 20])
    }

    @Test func excludedPassagesAreNotFound() async throws {
        let vectors = Tensor((0..<8).map { Float($0) }, shape: [8, 1])
        let retriever = try DenseRetriever(base(8), vectors: vectors)
        let one = Tensor([1], shape: [1])
        let found = try await retriever.passages(
            for: [
                RetrievalQuery(text: "", vector: one, excluded: [7, 5]),
                RetrievalQuery(text: "", vector: one),
            ], count: 3)
        #expect(found.map { $0.map(\.passage.id) } == [[6, 4, 3], [7, 6, 5]])
    }

    @Test func whatDoesNotFit() async throws {
        let error = #expect(throws: RetrievalError.countMismatch(passages: 3, vectors: 4)) {
            _ = try DenseRetriever(base(3), vectors: .zeros([4, 2]))
        }
        #expect(error?.description.contains("4 vectors for 3 passages") == true)
        let retriever = try DenseRetriever(base(3), vectors: .zeros([3, 2]))
        #expect(throws: RetrievalError.countMismatch(passages: 3, vectors: 2)) {
            try retriever.publish(IndexVersion(index: FlatIndex(.zeros([2, 2])), number: 9))
        }
        #expect(retriever.version.number == 0, "the old version stays")
        let good = RetrievalQuery(text: "x", vector: .zeros([2]))
        for (query, expected) in [
            (RetrievalQuery(text: "x"), RetrievalError.missingVector(query: 1)),
            (
                RetrievalQuery(text: "x", vector: .zeros([3])),
                .dimensionMismatch(expected: 2, found: 3)
            ),
        ] {
            await #expect(throws: expected) {
                _ = try await retriever.passages(for: [good, query], count: 1)
            }
        }
        await #expect(throws: RetrievalError.invalidCount(0)) {
            _ = try await retriever.passages(for: [good], count: 0)
        }
    }

    /// Every vector of version `k` is `k`, so a mix of versions would show in one result.
    @Test func eachSearchSeesOneVersion() async throws {
        let (rows, versions) = (300, 40)
        let retriever = try DenseRetriever(base(rows), vectors: .full([rows, 3], 0))
        let seen = try await withThrowingTaskGroup(of: Set<Float>.self) { group in
            for _ in 0..<4 {
                group.addTask {
                    var seen: Set<Float> = []
                    for _ in 0..<60 {
                        let query = RetrievalQuery(text: "", vector: Tensor([1, 0, 0], shape: [3]))
                        let lists = try await retriever.passages(for: [query, query], count: 50)
                        let scores = Set(lists.flatMap { $0.map(\.score) })
                        let vectors = Set(
                            lists.flatMap { $0.compactMap { $0.vector?.elements[0] } })
                        #expect(scores.count == 1 && vectors == scores)
                        seen.formUnion(scores)
                    }
                    return seen
                }
            }
            group.addTask {
                for number in 1...versions {
                    let index = FlatIndex(.full([rows, 3], Float(number)))
                    try retriever.publish(IndexVersion(index: index, step: number, number: number))
                    await Task.yield()
                }
                return []
            }
            return try await group.reduce(into: Set<Float>()) { $0.formUnion($1) }
        }
        #expect(seen.isSubset(of: Set((0...versions).map { Float($0) })))
        #expect(retriever.version.number == versions && retriever.version.step == versions)
    }
}
