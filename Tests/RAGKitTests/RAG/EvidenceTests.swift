import Testing

@testable import RAGKit

/// How passages become what generator and context encoder read, and how they are scored.
@Suite struct EvidenceTests {
    @Test func aPassageOfSeveralQuestionsIsEncodedOnce() throws {
        let model = try TinyRag.model()
        let evidence = try model.evidence(TinyRag.questions, passages: TinyRag.found())
        let different = Set(TinyRag.lists.flatMap { $0 })
        #expect(evidence.contextEncoderInputs?.count == different.count)
        #expect(evidence.contexts.count == 9 && evidence.count == 3 && evidence.documents == 3)
        let (encoder, tokenizer) = try #require(try model.contextParts())
        for (place, id) in TinyRag.lists.flatMap({ $0 }).enumerated() {
            let row = Int(evidence.candidates.passageIndices[place])
            let expected = PassageEncoder(tokenizer: tokenizer)
                .ids(of: TinyRag.passages[id], for: encoder)
            #expect(evidence.contextEncoderInputs.map { Array($0[row]) } == expected)
        }
        let plain = try TinyRag.model(endToEnd: false)
        #expect(
            try plain.evidence(TinyRag.questions, passages: TinyRag.found())
                .contextEncoderInputs == nil)
    }

    /// Live vectors, else the retriever's, else its own scores; the caller's before all.
    @Test func whereScoresComeFrom() throws {
        let model = try TinyRag.model()
        let vectors = model.questionEncoder(try model.questionTokens(TinyRag.questions))
        func scores(_ found: RetrievalResult, given: [[Float]]? = nil) throws -> Tensor {
            let evidence = try model.evidence(TinyRag.questions, passages: found, scores: given)
            return try model.documentScores(vectors, evidence)
        }
        func products(_ documents: Tensor) -> [Double] {
            TinyRag.lists.enumerated().flatMap { question, list in
                list.map {
                    dot(vectors.slice(question..<question + 1), documents.slice($0..<$0 + 1))
                }
            }
        }
        let (encoder, tokenizer) = try #require(try model.contextParts())
        let live = try PassageEncoder(tokenizer: tokenizer)
            .encode(KnowledgeBase(passages: TinyRag.passages), with: encoder)
        let own: [Double] = [0.5, 1, 1.5, 0.5, 1, 1.5, 0.5, 1, 1.5]
        let given: [[Float]] = [[3, 2, 1], [0, 5, 0], [7, 7, 7]]
        expectClose(try scores(TinyRag.found()), products(live), relative: 1e-4)
        expectClose(
            try scores(TinyRag.found(), given: given), given.flatMap { $0 }.map { Double($0) })

        let plain = try TinyRag.model(endToEnd: false)
        func plainScores(_ withVectors: Bool, _ given: [[Float]]? = nil) throws -> Tensor {
            let found = TinyRag.found(withVectors: withVectors)
            let evidence = try plain.evidence(TinyRag.questions, passages: found, scores: given)
            return try plain.documentScores(vectors, evidence)
        }
        expectClose(try plainScores(true), products(TinyRag.indexVectors()), relative: 1e-4)
        expectClose(try plainScores(false), own)
        expectClose(
            try plainScores(true, given), given.flatMap { $0 }.map { Double($0) })
        #expect(try !plainScores(false).isRecorded, "a retriever's score is a constant")
        #expect(try plainScores(true).isRecorded, "the question's vector is not")
    }

    /// A retriever that knows no vectors gives its own scores as constants.
    @Test func aRetrieverWithoutVectors() async throws {
        struct Fixed: Retriever {
            var needs: QueryNeeds { .text }
            func retrieve(
                _ queries: RetrievalQueries, count: Int
            ) async throws -> RetrievalResult {
                #expect(queries.texts == TinyRag.questions)
                let lists = TinyRag.found(withVectors: false).passages
                return RetrievalResult(lists.map { $0.reversed() }).prefix(count)
            }
        }
        let model = try TinyRag.model(endToEnd: false)
        model.retriever = Fixed()
        let answers = try await model.answer(TinyRag.questions)
        #expect(
            answers.map { $0.sources.map(\.score) } == Array(repeating: [1.5, 1, 0.5], count: 3))
        let loss = try TinyRag.loss(model, withVectors: false)
        let found = gradients(of: loss.sum, for: model.parameters())
        #expect(model.questionEncoder.parameters().allSatisfy { found[$0] == nil })
        #expect(found.norm > 0)
    }

    @Test func countLimitsPassagesAndScores() throws {
        let model = try TinyRag.model(endToEnd: false)
        let given: [[Float]] = [[3, 2, 1], [0, 5], [7]]
        let lists = [[0, 1, 2], [3, 4], [5]]
        let evidence = try model.evidence(
            TinyRag.questions, passages: TinyRag.found(lists), scores: given, count: 2)
        #expect(evidence.documents == 2 && evidence.passages.map(\.count) == [2, 2, 1])
        let vectors = Tensor.zeros([3, 6])
        let shares = try model.documentScores(vectors, evidence).softmax().elements
        #expect(shares[4] == 1 && shares[5] == 0)
        expectClose(Double(shares[0] / shares[1]), 2.718281828, relative: 1e-5)
        #expect(throws: (any Error).self) {
            _ = try model.evidence(
                TinyRag.questions, passages: TinyRag.found(lists), count: 0)
        }
    }

    @Test func countsOfPassagesAndScoresMustFit() throws {
        let model = try TinyRag.model()
        #expect(throws: RagError.countMismatch(what: "passages", expected: 3, found: 2)) {
            _ = try model.evidence(
                TinyRag.questions, passages: TinyRag.found([[0, 2, 5], [3, 1, 4]]))
        }
        #expect(throws: RagError.countMismatch(what: "scores", expected: 9, found: 8)) {
            _ = try model.evidence(
                TinyRag.questions, passages: TinyRag.found(),
                scores: [[1, 2, 3], [1, 2], [1, 2, 3]])
        }
        #expect(throws: RagError.noPassages(question: TinyRag.questions[1])) {
            _ = try model.evidence(TinyRag.questions, passages: TinyRag.found([[0], [], [1]]))
        }
        let evidence = try model.evidence(TinyRag.questions, passages: TinyRag.found())
        let vectors = model.questionEncoder(try model.questionTokens(TinyRag.questions))
        #expect(throws: RagError.countMismatch(what: "targets", expected: 3, found: 1)) {
            _ = try model.loss(
                vectors: vectors, evidence: evidence, targets: TokenBatch([[5, 6]]))
        }
    }

    /// Texts longer than the parts can take are cut, whatever the configuration allows.
    @Test func nothingIsLongerThanThePartsCanTake() throws {
        let model = try TinyRag.model()
        model.configuration.maxCombinedLength = 5000
        model.configuration.maxQuestionLength = 5000
        model.configuration.maxTargetLength = 5000
        let long = String(repeating: "salt and water ", count: 200)
        let passage = Passage(id: 0, title: "Long", text: long)
        let evidence = try model.evidence(
            ["why"], passages: [[RetrievedPassage(passage: passage, score: 0)]])
        #expect(evidence.contexts.lengths == [model.generator.maxTokens])
        #expect(evidence.contextEncoderInputs?.lengths == [64])
        #expect(model.questionEncoder.maxTokens == 64)
        #expect(try model.questionTokens([long]).lengths == [64])
        #expect(try model.targetTokens([long]).lengths == [model.generator.maxTokens])
        let loss = try model.loss(
            vectors: model.questionEncoder(model.questionTokens([long])), evidence: evidence,
            targets: model.targetTokens([long]))
        #expect(loss.sum.item().isFinite)
    }

    /// The passages of a result, best first, with vectors of some ids.
    private static func found(
        _ result: RetrievalResult, ids: Range<Int>, dimension: Int
    ) -> RetrievalResult {
        RetrievalResult(
            result.passages.map { list in
                list.map { RetrievedPassage(passage: $0.passage, score: 0) }
            },
            vectors: PassageVectors(
                ids: ids.map { PassageID($0) }, vectors: .zeros([ids.count, dimension])))
    }

    /// What a retriever must not do is named.
    @Test func aRetrieversPromises() async throws {
        struct Wrong: Retriever {
            var change: @Sendable (RetrievalResult) -> RetrievalResult
            var needs: QueryNeeds { .vector }
            func retrieve(
                _ queries: RetrievalQueries, count: Int
            ) async throws -> RetrievalResult {
                change(TinyRag.found())
            }
        }
        let wrongs: [(String, @Sendable (RetrievalResult) -> RetrievalResult)] = [
            ("lists of passages", { RetrievalResult($0.passages.dropLast()) }),
            ("4 passages", { RetrievalResult($0.passages.map { $0 + [$0[0]] }) }),
            (
                "score",
                { found in
                    RetrievalResult(
                        found.passages.map { list in
                            list.map { RetrievedPassage(passage: $0.passage, score: .nan) }
                        })
                }
            ),
            ("vectors of 3 numbers, expected 6", { Self.found($0, ids: 0..<6, dimension: 3) }),
            ("passage 5 has no vector", { Self.found($0, ids: 0..<5, dimension: 6) }),
        ]
        for (word, change) in wrongs {
            let model = try TinyRag.model(endToEnd: false)
            model.retriever = Wrong(change: change)
            let error = await #expect(throws: RetrievalError.self, "\(word)") {
                _ = try await model.answer(TinyRag.questions)
            }
            #expect(error?.description.contains(word) == true, "\(error?.description ?? "")")
            #expect(error?.description.contains("violates its contract") == true)
        }
    }
}
