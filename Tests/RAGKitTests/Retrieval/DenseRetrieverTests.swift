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
        let questions = Tensor.randomNormal([3, 4], using: &numbers)
        let queries = RetrievalQueries(texts: ["", "", ""], vectors: questions)
        let result = try await retriever.retrieve(queries, count: 5)
        let known = try #require(result.vectors)
        #expect(known.ids.count == Set(known.ids).count && known.vectors.dim(1) == 4)
        #expect(result.source?.version == 0)
        #expect(result.source?.knowledgeBase === retriever.knowledgeBase)
        for (query, list) in result.passages.enumerated() {
            let vector = questions.slice(query..<query + 1)
            let best = (0..<20).map { dot(vector, vectors.slice($0..<$0 + 1)) }.sorted(by: >)
            expectClose(
                list.map { Double($0.score) }, Array(best.prefix(5)), relative: 1e-4)
            for hit in list {
                let id = hit.passage.id.rawValue
                #expect(hit.passage.title == "Title \(id)")
                let row = Int(try #require(known.row(of: hit.passage.id)))
                let own = known.vectors.slice(row..<row + 1)
                expectIdentical(own, vectors.slice(id..<id + 1))
                expectClose(Double(hit.score), dot(vector, own), relative: 1e-4)
            }
        }
        let none = RetrievalQueries(texts: [])
        #expect(try await retriever.retrieve(none, count: 5).passages.isEmpty)
        let all = try await retriever.retrieve(queries, count: 50)
        #expect(all.passages.map(\.count) == [20, 20, 20])
        #expect(all.vectors?.ids.count == 20, "each passage once")
    }

    @Test func excludedPassagesAreNotFound() async throws {
        let vectors = Tensor((0..<8).map { Float($0) }, shape: [8, 1])
        let retriever = try DenseRetriever(base(8), vectors: vectors)
        let found = try await retriever.retrieve(
            RetrievalQueries(
                texts: ["", ""], vectors: .full([2, 1], 1), excluded: [[7, 5], []]),
            count: 3)
        #expect(found.passages.map { $0.map(\.passage.id) } == [[6, 4, 3], [7, 6, 5]])
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
        await #expect(throws: RetrievalError.missingVectors) {
            _ = try await retriever.retrieve(RetrievalQueries(texts: ["x", "y"]), count: 1)
        }
        await #expect(throws: IndexError.dimensionMismatch(expected: 2, found: 3)) {
            let long = RetrievalQueries(texts: ["x"], vectors: .zeros([1, 3]))
            _ = try await retriever.retrieve(long, count: 1)
        }
        await #expect(throws: IndexError.invalidCount(0)) {
            let good = RetrievalQueries(texts: ["x"], vectors: .zeros([1, 2]))
            _ = try await retriever.retrieve(good, count: 0)
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
                        let queries = RetrievalQueries(
                            texts: ["", ""],
                            vectors: Tensor([1, 0, 0, 1, 0, 0], shape: [2, 3]))
                        let found = try await retriever.retrieve(queries, count: 50)
                        let scores = Set(found.passages.flatMap { $0.map(\.score) })
                        let vectors = Set(found.vectors?.vectors.elements ?? [])
                        #expect(scores.count == 1 && vectors == scores)
                        #expect(scores == [Float(found.source?.version ?? -1)])
                        seen.formUnion(scores)
                    }
                    return seen
                }
            }
            group.addTask {
                for number in 1...versions {
                    let index = FlatIndex(.full([rows, 3], Float(number)))
                    try retriever.publish(IndexVersion(index: index, number: number, step: number))
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
