import Testing

@testable import RAGKit

/// Generation of answers, and what is said about them.
@Suite struct RagAnswerTests {
    @Test(arguments: [Marginalization.token, .sequence], [false, true])
    func anAnswersNumbers(kind: Marginalization, endToEnd: Bool) async throws {
        for seed in UInt64(1)...3 {
            let model = try TinyRag.model(kind, endToEnd: endToEnd, seed: seed)
            let answers = try await model.answer(TinyRag.questions)
            let ids = try await model.generate(TinyRag.questions)
            #expect(answers.map(\.tokenIDs) == ids && answers.map(\.question) == TinyRag.questions)
            for answer in answers {
                #expect(answer.sources.count == 3)
                expectClose(
                    Double(answer.sources.reduce(0) { $0 + $1.posterior }), 1, relative: 1e-5)
                expectClose(Double(answer.sources.reduce(0) { $0 + $1.prior }), 1, relative: 1e-5)
                #expect(answer.tokenIDs[0] == model.generator.tokenIDs.decoderStart)
                let text = model.generatorTokenizer.decode(answer.tokenIDs)
                #expect(answer.text == text.drop { $0.isWhitespace })
                // The loss of the generated ids, given the same passages alone.
                let passages = answer.sources.map {
                    RetrievedPassage(passage: $0.passage, score: $0.score)
                }
                let evidence = try model.evidence(
                    [answer.question], passages: [passages],
                    scores: [answer.sources.map(\.score)])
                let loss = try model.loss(
                    vectors: model.questionEncoder(model.questionTokens([answer.question])),
                    evidence: evidence, targets: TokenBatch([Array(answer.tokenIDs.dropFirst())]))
                expectClose(
                    -Double(answer.logProbability), Double(loss.sum.item()), relative: 1e-4)
                expectClose(
                    answer.sources.map { Double($0.posterior) },
                    loss.logPosteriors.softmax().doubles, relative: 1e-3, ofRootMeanSquare: 1e-4)
            }
        }
    }

    /// The same answer alone and in a batch.
    @Test(arguments: [Marginalization.token, .sequence], [nil, 0, 60] as [Int32?])
    func answersDoNotDependOnTheBatch(kind: Marginalization, forced: Int32?) async throws {
        for seed in UInt64(1)...4 {
            let model = try TinyRag.model(kind, seed: seed)
            model.generation.forcedBosTokenID = forced
            let together = try await model.answer(TinyRag.questions)
            for (index, question) in TinyRag.questions.enumerated() {
                let alone = try await model.answer([question])[0]
                #expect(alone.tokenIDs == together[index].tokenIDs, "seed \(seed)")
                expectClose(
                    Double(alone.logProbability), Double(together[index].logProbability),
                    relative: 1e-4)
            }
        }
    }

    /// Answers are made in evaluation mode: dropout does not show.
    @Test func dropoutIsOffInGeneration() async throws {
        let (plain, dropping) = (try TinyRag.model(), try TinyRag.model(dropout: 0.4))
        let expected = try await plain.generate(TinyRag.questions)
        let found = try await ForwardContext.$scoped.withValue(
            ForwardContext(isTraining: true, seed: 3)
        ) { try await dropping.generate(TinyRag.questions) }
        #expect(found == expected)
    }

    @Test func callersPassagesAndScores() async throws {
        let model = try TinyRag.model()
        model.retriever = nil
        let scores: [[Float]] = [[0, 0, 0], [9, 0, 0], [0, 1]]
        let answers = try await model.answer(
            TinyRag.questions, passages: TinyRag.found([[0, 2, 5], [3, 1, 4], [5, 4]]),
            scores: scores)
        #expect(answers.map { $0.sources.map(\.score) } == scores)
        expectClose(Double(answers[0].sources[1].prior), 1.0 / 3, relative: 1e-5)
        #expect(answers[1].sources[0].prior > 0.99)
        expectClose(Double(answers[2].sources[1].prior), 0.7310585786, relative: 1e-5)

        // Without scores they are scored as documents always are: here by the live encoder.
        let unscored = try await model.answer(
            TinyRag.questions, passages: TinyRag.found(withVectors: false))
        let vectors = model.questionEncoder(try model.questionTokens(TinyRag.questions))
        let expected = try model.documentScores(
            vectors, model.evidence(TinyRag.questions, passages: TinyRag.found()))
        expectClose(
            unscored.flatMap { $0.sources.map { Double($0.score) } }, expected.doubles,
            relative: 1e-4)
    }

    @Test func numbersOfDocuments() async throws {
        let model = try TinyRag.model()
        for (count, expected) in [(nil, 3), (1, 1), (5, 5), (50, 6)] as [(Int?, Int)] {
            let answers = try await model.answer(TinyRag.questions, count: count)
            #expect(answers.map(\.sources.count) == [expected, expected, expected])
        }
        model.configuration.nDocs = 2
        #expect(try await model.answer(["why"])[0].sources.count == 2)
        let limited = try await model.answer(
            ["why"], count: 2, passages: TinyRag.found([[0, 1, 2, 3]]))
        #expect(limited[0].sources.map(\.passage.id) == [0, 1])
        // All of the caller's passages count, whatever the configuration says.
        let all = try await model.answer(["why"], passages: TinyRag.found([[0, 1, 2, 3]]))
        #expect(all[0].sources.count == 4)
        for count in [0, -1] {
            await #expect(throws: IndexError.invalidCount(count)) {
                _ = try await model.answer(["why"], count: count)
            }
            await #expect(throws: IndexError.invalidCount(count)) {
                _ = try await model.answer(
                    ["why"], count: count, passages: TinyRag.found([[0, 1]]))
            }
        }
        #expect(try await model.answer([]).isEmpty)
        #expect(try await model.generate([]).isEmpty)
    }

    /// Equal candidates are scored once; the answer is the same.
    @Test func deduplication() async throws {
        let model = try TinyRag.model(.sequence)
        model.generation.forcedBosTokenID = 60
        model.generation.maxLength = 2  // every candidate is the same
        var found: [[[Int32]]] = []
        for deduplicates in [true, false] {
            model.configuration.doDeduplication = deduplicates
            found.append(try await model.generate(TinyRag.questions))
        }
        #expect(found[0] == found[1])
        #expect(found[0] == Array(repeating: [2, 60], count: 3))
    }

    @Test(arguments: [Marginalization.token, .sequence])
    func generationSettings(kind: Marginalization) async throws {
        let model = try TinyRag.model(kind)
        let ids = model.generator.tokenIDs
        func generate(_ change: (inout GenerationConfiguration) -> Void) async throws -> [[Int32]] {
            var settings = GenerationConfiguration()
            change(&settings)
            return try await model.generate(TinyRag.questions, generation: settings)
        }
        for length in [1, 2, 5] {
            let found = try await generate { $0.maxLength = length }
            #expect(found.allSatisfy { $0.count <= length && $0[0] == ids.decoderStart })
        }
        let start = try await generate { $0.maxLength = 1 }
        #expect(start == [[2], [2], [2]])
        let forced = try await generate {
            $0.maxLength = 6
            $0.minLength = 6
            $0.forcedBosTokenID = 61
            $0.forcedEosTokenID = ids.eos
        }
        for sequence in forced {
            #expect(sequence.count == 6 && sequence[1] == 61 && sequence[5] == ids.eos)
            #expect(!sequence[1..<5].contains(ids.eos))
        }
        // Longer than the generator can go: it goes as far as it can.
        let long = try await generate {
            $0.maxLength = 4000
            $0.minLength = 4000
        }
        #expect(long.allSatisfy { $0.count <= model.generator.maxTokens + 1 && $0.count > 60 })
        let answers = try await model.answer(
            ["why"],
            generation: {
                var settings = GenerationConfiguration()
                settings.maxLength = 1
                return settings
            }())
        #expect(answers[0].tokenIDs == [2] && answers[0].text.isEmpty)
        #expect(answers[0].logProbability.isFinite)
    }

    /// RAG-token: each token is the most probable one of the marginal.
    @Test func tokensAreTheMarginalsBest() async throws {
        let model = try TinyRag.model()
        let found = try await model.answer(TinyRag.questions, passages: TinyRag.found())
        for (question, answer) in found.enumerated() {
            let evidence = try model.evidence(
                [answer.question], passages: TinyRag.found([TinyRag.lists[question]]))
            let naive = NaiveRag(
                model, contexts: evidence.contexts,
                scores: [answer.sources.map { Double($0.score) }],
                targets: [Array(answer.tokenIDs.dropFirst())], start: answer.tokenIDs[0])
            for (token, word) in naive.labels[0].enumerated() {
                let marginal = naive.logProbabilities[0][0][0].indices.map { word in
                    NaiveRag.logSumExp(
                        (0..<3).map {
                            naive.logProbabilities[0][$0][token][word] + naive.priors[0][$0]
                        })
                }
                #expect(marginal.indices.max { marginal[$0] < marginal[$1] } == word)
            }
        }
    }
}
