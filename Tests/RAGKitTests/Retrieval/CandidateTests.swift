import Testing

@testable import RAGKit

@Suite struct CandidateTests {
    private static let passages = (0..<6).map {
        Passage(id: PassageID($0), title: "Title \($0)", text: "Text \($0)")
    }

    /// Vectors 0, 1, … 5: the higher the number, the better.
    private var retriever: DenseRetriever {
        get throws {
            try DenseRetriever(
                KnowledgeBase(passages: Self.passages),
                vectors: Tensor((0..<6).map { Float($0) }, shape: [6, 1]))
        }
    }

    /// One query for each set of excluded passages.
    private func queries(_ excluded: Set<PassageID>...) -> RetrievalQueries {
        RetrievalQueries(
            texts: excluded.map { _ in "" }, vectors: .full([excluded.count, 1], 2),
            excluded: excluded)
    }

    @Test func nullDocumentComesLastAndIsNeverExcluded() async throws {
        let policy = CandidatePolicy(count: 3, includesNullDocument: true)
        let all = Set(Self.passages.map(\.id))
        let found = try await policy.candidates(
            for: queries([], [5, 3], all.union([-1])), from: retriever)
        #expect(found.lists.map { $0.map(\.passage.id) } == [[5, 4, -1], [4, 2, -1], [-1]])
        #expect(found.documentsPerQuery == 3 && found.count == 3)
        #expect(found.lists.allSatisfy { $0.last?.passage.isNull == true })
        #expect(found.indexVectors == nil, "the null document has no vector")
        // Each different passage once; where a list is short its first stands in.
        #expect(found.uniquePassages.map(\.id) == [5, 4, -1, 2])
        #expect(found.passageIndices == [0, 1, 2, 1, 3, 2, 2, 2, 2])
    }

    /// Vectors and source are those of the search.
    @Test func vectorsComeWithTheCandidates() async throws {
        let retriever = try retriever
        let found = try await CandidatePolicy(count: 2)
            .candidates(for: queries([5], []), from: retriever)
        #expect(found.uniquePassages.map(\.id) == [4, 3, 5])
        #expect(found.indexVectors?.elements == [4, 3, 5])
        #expect(found.source?.knowledgeBase === retriever.knowledgeBase)
        #expect(found.source?.version == 0)
        let scores = found.scores(Tensor([2, -1], shape: [2, 1]))
        #expect(scores.elements == [8, 6, -5, -4])
    }

    @Test func goldIsAmongThemOnce() async throws {
        let policy = CandidatePolicy(count: 3, includesNullDocument: true)
        let gold = Self.passages[0]
        let found = try await policy.candidates(
            for: queries([], [0], []), gold: [gold, gold, Self.passages[4]], from: retriever)
        #expect(
            found.lists.map { $0.map(\.passage.id) } == [[5, 0, -1], [5, 4, -1], [5, 4, -1]])
        #expect(found.lists[0].map(\.score) == [10, 8, 8])
    }

    @Test func whatCannotBeFound() async throws {
        let all = Set(Self.passages.map(\.id))
        await #expect(throws: RetrievalError.noPassages(query: 1)) {
            _ = try await CandidatePolicy(count: 2).candidates(
                for: queries([], all), from: retriever)
        }
        struct Liar: Retriever {
            let needs = QueryNeeds.text
            func retrieve(
                _ queries: RetrievalQueries, count: Int
            ) async throws -> RetrievalResult {
                [[RetrievedPassage(passage: CandidateTests.passages[1], score: 0)]]
            }
        }
        let violation = RetrievalError.contractViolation("passage 1 is excluded, for question 0")
        await #expect(throws: violation) {
            _ = try await CandidatePolicy(count: 2).candidates(for: queries([1]), from: Liar())
        }
    }

    /// Scores of ragged lists, in every scorer, with their gradients, against loops.
    @Test(arguments: [RelevanceScorer.dot, .scaledDot(0.3), .cosine])
    func scoresAreThoseOfTheirOwnDocuments(scorer: RelevanceScorer) throws {
        let lists = [[0, 3, 1], [3], [2, 0]].map { list in
            list.map { RetrievedPassage(passage: Self.passages[$0], score: -Float($0)) }
        }
        let candidates = Candidates(RetrievalResult(lists))
        #expect(candidates.uniquePassages.map(\.id) == [0, 3, 1, 2])
        var numbers = SeededGenerator(seed: 5)
        let queries = Tensor.randomNormal([3, 4], using: &numbers)
        let vectors = Tensor.randomNormal([4, 4], using: &numbers)
        func score(_ q: [Double], _ d: [Double]) -> Double {
            switch scorer {
            case .dot: Naive.dot(q, d)
            case .scaledDot(let scale): Double(scale) * Naive.dot(q, d)
            case .cosine:
                Naive.dot(q, d) / (Naive.dot(q, q) * Naive.dot(d, d)).squareRoot()
            }
        }
        let (q, d) = (
            Naive.rows(queries.doubles, width: 4), Naive.rows(vectors.doubles, width: 4)
        )
        let rows = [[0, 1, 2], [1, 1, 1], [3, 0, 3]]
        let found = candidates.scores(queries, vectors: vectors, by: scorer).doubles
        for query in 0..<3 {
            for document in 0..<3 {
                let value = found[query * 3 + document]
                if document < lists[query].count {
                    let expected = score(q[query], d[rows[query][document]])
                    #expect(abs(value - expected) < 1e-5, "\(query), \(document)")
                } else {
                    #expect(value < -1e29, "a document that stands in")
                }
            }
        }
        expectGradient(
            of: { candidates.scores($0, vectors: $1, by: scorer).softmax() }, at: queries, vectors,
            seed: 6)
        let all = scorer.allScores(queries, vectors).doubles
        expectClose(all, q.flatMap { row in d.map { score(row, $0) } }, "every pair:")
        // Without vectors the retriever's own scores stand.
        #expect(candidates.scores(queries).doubles.prefix(3) == [0, -3, -1])
        // The index's vectors, in whatever order they come, give the same as those of an encoder.
        let stored = PassageVectors(ids: [2, 1, 0, 3, 5], vectors: vectors.rows([3, 2, 0, 1, 1]))
        let again = Candidates(RetrievalResult(lists, vectors: stored))
        for (a, b) in zip(again.scores(queries, by: scorer).doubles, found) {
            #expect(abs(a - b) <= 1e-5 * max(1, abs(b)), "by the index's vectors")
        }
    }
}
