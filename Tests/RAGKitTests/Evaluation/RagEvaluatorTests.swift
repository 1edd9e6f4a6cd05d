import Testing

@testable import RAGKit

@Suite struct RagEvaluatorTests {
    /// Gives each question the passages of its list, whatever the vectors say.
    private struct Listed: Retriever {
        var lists: [String: [Int]]
        var passages = TinyRag.passages
        var needs: QueryNeeds { .text }
        func retrieve(
            _ queries: RetrievalQueries, count: Int
        ) async throws -> RetrievalResult {
            RetrievalResult(
                queries.texts.map { text in
                    lists[text, default: []].prefix(count).map {
                        RetrievedPassage(passage: passages[$0], score: 0)
                    }
                })
        }
    }

    private func model() throws -> RagModel {
        let model = try TinyRag.model(endToEnd: false)
        let q = TinyRag.questions
        model.retriever = Listed(lists: [
            q[0]: [4, 0, 1, 2, 3, 5], q[1]: [3, 1, 2, 4, 5, 0], q[2]: [0, 1, 2, 3, 4, 5],
        ])
        return model
    }

    /// By the gold passage's id where it is known.
    @Test func recallByGoldPassage() async throws {
        var evaluator = RagEvaluator()
        evaluator.cutoffs = [1, 2, 5, 6]
        let examples = zip(TinyRag.questions, [0, 3, 5]).map {
            // The text holds no answer: only the id counts.
            RagExample(question: $0, answers: ["xyz"], goldPassage: PassageID($1))
        }
        let scores = try await evaluator.scores(of: model(), on: examples)
        #expect(scores.count == 3)
        // Ranks 1, 0 and 5.
        for (cutoff, share) in [(1, 1.0), (2, 2), (5, 2), (6, 3)] {
            expectClose(try #require(scores.recall[cutoff]), share / 3 * 100, relative: 1e-9)
        }
        #expect(scores.metrics["recall@2"] == scores.recall[2])
        #expect(
            Set(scores.metrics.keys) == [
                "em", "f1", "recall@1", "recall@2", "recall@5", "recall@6",
            ])
    }

    /// Else by an answer among the passage's words: whole words, after normalization.
    @Test func recallByAnswer() async throws {
        var evaluator = RagEvaluator()
        evaluator.cutoffs = [1, 2]
        let cases: [([String], Double)] = [
            (["first seen in the SUN!"], 2), (["he first"], 9), (["light-gas", "helium"], 2),
            (["owls"], 1), (["the"], 9), (["heliu"], 9), (["sun"], 2),
        ]
        for (answers, rank) in cases {
            let example = RagExample(question: TinyRag.questions[0], answers: answers)
            let scores = try await evaluator.scores(of: model(), on: [example])
            #expect(scores.recall[1] == (rank <= 1 ? 100 : 0), "\(answers)")
            #expect(scores.recall[2] == (rank <= 2 ? 100 : 0), "\(answers)")
        }
    }

    /// EM and F1 are those of the answers, however they are batched; recall looks further than the
    /// passages that are read.
    @Test func exactMatchAndF1OfAnswers() async throws {
        let model = try model()
        let answers = try await model.answer(TinyRag.questions)
        var examples = TinyRag.examples
        examples[1].answers = ["something else", answers[1].text]
        for size in [1, 2, 50] {
            var evaluator = RagEvaluator()
            evaluator.batchSize = size
            evaluator.cutoffs = [5]
            let scores = try await evaluator.scores(of: model, on: examples)
            let exact = zip(answers, examples).map {
                AnswerMetrics.exactMatch($0.text, $1.answers) ? 1.0 : 0
            }
            let f1 = zip(answers, examples).map { AnswerMetrics.f1($0.text, $1.answers) }
            expectClose(scores.exactMatch, exact.reduce(0, +) / 3 * 100, relative: 1e-9)
            expectClose(scores.f1, f1.reduce(0, +) / 3 * 100, relative: 1e-9)
            #expect(scores.exactMatch > 0)
        }
        let none = try await RagEvaluator().scores(of: model, on: [])
        #expect(none.count == 0 && none.exactMatch == 0 && none.recall.isEmpty)
    }

    /// The evaluator's own numbers replace the model's.
    @Test func settings() async throws {
        let model = try model()
        var evaluator = RagEvaluator()
        evaluator.nDocs = 1
        var generation = GenerationConfiguration()
        generation.maxLength = 3
        evaluator.generation = generation
        let expected = try await model.answer(
            TinyRag.questions, count: 1, generation: generation)
        let examples = zip(TinyRag.questions, expected).map {
            RagExample(question: $0, answers: [$1.text])
        }
        #expect(try await evaluator.scores(of: model, on: examples).exactMatch == 100)
    }
}
