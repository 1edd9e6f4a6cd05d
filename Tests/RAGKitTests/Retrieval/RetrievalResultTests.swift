import Testing

@testable import RAGKit

/// What a search found stays as it was found, whatever happens to the index afterwards and through
/// whose hands it goes.
@Suite struct RetrievalResultTests {
    /// A retriever around another, which it may have replaced its index by before it answers.
    private struct Around: Retriever {
        let inner: any Retriever
        var published: IndexVersion?

        var needs: QueryNeeds { inner.needs }
        var refreshable: (any RefreshableRetriever)? { inner.refreshable }

        func retrieve(_ queries: RetrievalQueries, count: Int) async throws -> RetrievalResult {
            let found = try await inner.retrieve(queries, count: count)
            if let published { try refreshable?.publish(published) }
            return found
        }
    }

    private func live(_ model: RagModel) throws -> DenseRetriever {
        try #require(model.retriever as? DenseRetriever)
    }

    /// Vectors that put other passages first, and score the same ones otherwise.
    private func newer(_ number: Int = 1) -> IndexVersion {
        IndexVersion(index: FlatIndex(TinyRag.indexVectors(seed: 77)), number: number, step: 5)
    }

    /// The inner products of questions with the vectors of their passages.
    private func products(
        _ questions: Tensor, _ passages: [[RetrievedPassage]], _ vectors: Tensor
    ) -> [Double] {
        passages.enumerated().flatMap { question, list in
            list.map { found in
                let id = found.passage.id.rawValue
                return dot(
                    questions.slice(question..<question + 1), vectors.slice(id..<id + 1))
            }
        }
    }

    private func farApart(_ a: [Double], _ b: [Double]) -> Bool {
        zip(a, b).contains { abs($0 - $1) > 0.1 }
    }

    // MARK: - A version that is published between search and scoring

    @Test(arguments: [false, true])
    func scoresAreThoseOfTheVersionThatWasSearched(endToEnd: Bool) async throws {
        let model = try TinyRag.model(endToEnd: endToEnd)
        let questions = model.questionEncoder(try model.questionTokens(TinyRag.questions))
        let found = try await model.retrieve(TinyRag.questions, vectors: questions, count: 3)
        try live(model).publish(newer())
        #expect(found.source?.version == 0 && model.retriever?.refreshable?.version.number == 1)

        let evidence = try model.evidence(TinyRag.questions, passages: found)
        let scores = try model.documentScores(questions, evidence, usesIndexVectors: true)
        let old = products(questions, found.passages, TinyRag.indexVectors())
        expectClose(scores, old, relative: 1e-4)
        expectClose(
            found.passages.flatMap { $0.map { Double($0.score) } }, old, relative: 1e-4)
        let new = products(questions, found.passages, TinyRag.indexVectors(seed: 77))
        #expect(farApart(old, new), "otherwise this says nothing")
        // The next search sees the new one.
        let next = try await model.retrieve(TinyRag.questions, vectors: questions, count: 3)
        #expect(next.source?.version == 1)
        expectClose(
            next.passages.flatMap { $0.map { Double($0.score) } },
            products(questions, next.passages, TinyRag.indexVectors(seed: 77)), relative: 1e-4)
    }

    /// The same inside an answer and a training step, by a retriever whose index moves while it
    /// answers.
    @Test func answersAndStepsUseOneVersion() async throws {
        let model = try TinyRag.model(endToEnd: false)
        let base = try live(model).knowledgeBase
        let questions = model.questionEncoder(try model.questionTokens(TinyRag.questions))
        func moving() throws -> Around {
            Around(
                inner: try DenseRetriever(base, vectors: TinyRag.indexVectors()),
                published: newer())
        }
        let first = try moving()
        model.retriever = first
        let answers = try await model.answer(TinyRag.questions)
        #expect(first.refreshable?.version.number == 1)
        for (question, answer) in answers.enumerated() {
            for source in answer.sources {
                let id = source.passage.id.rawValue
                let expected = dot(
                    questions.slice(question..<question + 1),
                    TinyRag.indexVectors().slice(id..<id + 1))
                expectClose(Double(source.score), expected, relative: 1e-4)
            }
        }

        model.retriever = try moving()
        let task = try RagTrainingTask(model)
        let prepared = try await task.prepare(TinyRag.examples)
        expectClose(
            try model.documentScores(prepared.vectors, prepared.evidence),
            products(questions, prepared.evidence.passages, TinyRag.indexVectors()),
            relative: 1e-4)
        // A second step's search is the new version's.
        let second = try await task.prepare(TinyRag.examples)
        expectClose(
            try model.documentScores(second.vectors, second.evidence),
            products(questions, second.evidence.passages, TinyRag.indexVectors(seed: 77)),
            relative: 1e-4)
    }

    // MARK: - Token ids that are kept with the base

    /// Ids that no tokenizer makes show where they came from: through `any Retriever`, and through a
    /// retriever around another.
    @Test func storedIDsReachTheContextEncoder() async throws {
        let model = try TinyRag.model()
        let retriever = try live(model)
        let (encoder, tokenizer) = try #require(try model.contextParts())
        let passages = PassageEncoder(tokenizer: tokenizer)
        func stored(_ passage: Passage) -> [Int32] { [7, Int32(passage.id.rawValue + 10), 8] }
        try retriever.knowledgeBase.addTokenIDs(fingerprint: passages.fingerprint(for: encoder)) {
            $0.map(stored)
        }
        // How many inputs are those of the base, and how many were made of the words.
        func inputs(_ found: RetrievalResult) throws -> [Int] {
            let evidence = try model.evidence(TinyRag.questions, passages: found)
            let rows = try #require(evidence.contextEncoderInputs)
            let unique = evidence.candidates.uniquePassages
            #expect(rows.count == unique.count)
            let kept = zip(unique, rows.sequences).count { stored($0) == $1 }
            let made = zip(unique, rows.sequences).count {
                passages.ids(of: $0, for: encoder) == $1
            }
            return [kept, made]
        }
        let handed: any Retriever = retriever
        let ways: [any Retriever] = [
            handed, Around(inner: handed), Around(inner: Around(inner: handed)),
        ]
        for way in ways {
            model.retriever = way
            let found = try await model.retrieve(TinyRag.questions, count: 4)
            let unique = Set(found.passages.joined().map(\.passage.id)).count
            #expect(try inputs(found) == [unique, 0])
            // The step of a training task reads them too.
            let prepared = try await RagTrainingTask(model).prepare(TinyRag.examples)
            let rows = prepared.evidence.contextEncoderInputs?.sequences ?? []
            #expect(!rows.isEmpty && rows.allSatisfy { $0.first == 7 && $0.last == 8 })
        }
        // The caller's own passages may be others of the same ids: their words are tokenized.
        #expect(try inputs(TinyRag.found()) == [0, Set(TinyRag.lists.joined()).count])
        // So is one whose words differ from those of the base.
        var found = try await model.retrieve(TinyRag.questions, count: 4)
        let unique = Set(found.passages.joined().map(\.passage.id)).count
        let changed = found.passages[0][0].passage.id
        for question in found.passages.indices {
            for place in found.passages[question].indices
            where found.passages[question][place].passage.id == changed {
                found.passages[question][place].passage.text = "Other words."
            }
        }
        #expect(try inputs(found) == [unique - 1, 1])
    }

    // MARK: - Values

    @Test func queriesKeepTheirOrder() {
        let vectors = Tensor.counting([3, 2]).variable()
        let queries = RetrievalQueries(
            texts: ["a", "b", "c"], vectors: vectors, excluded: [[1], [], [2, 3]])
        #expect(queries.vectors?.isRecorded == false)
        let some = queries.selecting([2, 0])
        #expect(some.count == 2 && some.texts == ["c", "a"])
        #expect(some.vectors?.elements == [4, 5, 0, 1])
        #expect(some.excluded == [[2, 3], [1]])
        #expect(some.searchParameters.excluded == [[2, 3], [1]])
        let none = queries.excluding([[], [], []])
        #expect(none.searchParameters.excluded.isEmpty && none.vectors?.count == 6)
        let texts = RetrievalQueries(texts: ["a"]).selecting([0])
        #expect(texts.vectors == nil && texts.excluded == [[]])
    }

    @Test func prefixesKeepVectorsAndSource() {
        var found = TinyRag.found()
        found.source = RetrievalSource(
            knowledgeBase: KnowledgeBase(passages: TinyRag.passages), version: 4)
        let short = found.prefix(1)
        #expect(short.passages.map { $0.map(\.passage.id) } == [[0], [3], [5]])
        #expect(short.source?.version == 4)
        for (id, row) in [(5, 5), (0, 0)] {
            #expect(short.vectors?.row(of: PassageID(id)) == Int32(row))
        }
        #expect(short.vectors?.row(of: 6) == nil)
        let literal: RetrievalResult = [found.passages[0], []]
        #expect(literal.passages.map(\.count) == [3, 0])
        #expect(literal.vectors == nil && literal.source == nil)
    }
}
