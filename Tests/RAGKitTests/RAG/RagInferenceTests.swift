import Testing

@testable import RAGKit

/// A frozen model that many tasks ask at once, and answers piece by piece.
@Suite struct RagInferenceTests {
    private func generation(beams: Int) -> GenerationConfiguration {
        var settings = GenerationConfiguration()
        settings.maxLength = 9
        settings.numBeams = beams
        return settings
    }

    /// Twenty tasks at once give what one after the other gives.
    @Test(arguments: [Marginalization.token, .sequence])
    func manyTasksAtOnce(kind: Marginalization) async throws {
        let model = try TinyRag.model(kind)
        let settings = generation(beams: 3)
        var expected: [RagAnswer] = []
        for question in TinyRag.questions {
            expected += try await model.answer([question], generation: settings)
        }
        let inference = try model.inference()
        let found = try await withThrowingTaskGroup(of: (Int, RagAnswer).self) { group in
            for number in 0..<20 {
                group.addTask {
                    let question = TinyRag.questions[number % 3]
                    let answers = try await inference.answer([question], generation: settings)
                    return (number, answers[0])
                }
            }
            return try await group.reduce(into: [:]) { $0[$1.0] = $1.1 }
        }
        #expect(found.count == 20)
        for (number, answer) in found {
            let other = expected[number % 3]
            #expect(answer.tokenIDs == other.tokenIDs && answer.text == other.text)
            #expect(answer.logProbability == other.logProbability)
            #expect(answer.sources.map(\.posterior) == other.sources.map(\.posterior))
        }
    }

    /// Training the model further does not show.
    @Test func laterChangesDoNotShow() async throws {
        let model = try TinyRag.model()
        let inference = try model.inference()
        let before = try await inference.answer(TinyRag.questions).map(\.logProbability)
        model.generator.randomize(seed: 77)
        model.generation.maxLength = 2
        model.retriever = nil
        #expect(try await inference.answer(TinyRag.questions).map(\.logProbability) == before)
        #expect(inference.generation.maxLength == 8)
        let ids = try await inference.hypotheses(TinyRag.questions).map { $0[0].tokenIDs }
        #expect(try await inference.generate(TinyRag.questions) == ids)
        await #expect(throws: RagError.missingRetriever) {
            _ = try await model.answer(TinyRag.questions)
        }
    }

    /// Pieces put together are the answer; the last one has it.
    @Test(arguments: [Marginalization.token, .sequence], [1, 3])
    func pieces(kind: Marginalization, beams: Int) async throws {
        var most = 0
        for seed in UInt64(1)...4 {
            let model = try TinyRag.model(kind, seed: seed)
            let inference = try model.inference()
            for question in TinyRag.questions {
                let settings = generation(beams: beams)
                let expected = try await inference.answer([question], generation: settings)[0]
                var pieces: [RagPiece] = []
                for try await piece in inference.stream(question, generation: settings) {
                    pieces.append(piece)
                }
                #expect(pieces.map(\.text).joined() == expected.text)
                #expect(pieces.dropLast().allSatisfy { $0.answer == nil && !$0.text.isEmpty })
                #expect(pieces.last?.answer?.tokenIDs == expected.tokenIDs)
                for piece in pieces {
                    #expect(piece.sources.map(\.passage) == expected.sources.map(\.passage))
                    expectClose(
                        Double(piece.sources.reduce(0) { $0 + $1.posterior }), 1, relative: 1e-5)
                }
                most = max(most, pieces.count)
            }
        }
        #expect(kind == .sequence ? most == 1 : most > 2)
    }

    /// With one beam, the posterior after the last token is the answer's.
    @Test func posteriorsOfPieces() async throws {
        let model = try TinyRag.model()
        let task = try await model.generationTask(
            TinyRag.questions, count: nil, passages: nil, scores: nil)
        for beams in [1, 3] {
            let decoder = try model.decoder(task, generation(beams: beams))
            var last: [Int: DecodingProgress] = [:]
            let found = try decoder.hypotheses { last[$0.group] = $0 }
            let answers = try decoder.answers(found)
            for (question, answer) in answers.enumerated() {
                guard let progress = last[question], progress.settled == answer.tokenIDs else {
                    continue
                }
                expectClose(
                    try #require(progress.posterior).map(Double.init),
                    answer.sources.map { Double($0.posterior) }, relative: 1e-3,
                    ofRootMeanSquare: 1e-4)
            }
            if beams == 1 { #expect(last.count == 3) }
        }
    }

    /// Errors reach the reader of a stream, and leaving it early is no harm.
    @Test func endsOfStreams() async throws {
        let inference = try TinyRag.model().inference()
        var settings = generation(beams: 1)
        settings.numBeams = 0
        await #expect(throws: GenerationError.self) {
            for try await _ in inference.stream("why", generation: settings) {}
        }
        await #expect(throws: RagError.emptyQuestion(index: 0)) {
            for try await _ in inference.stream(" ") {}
        }
        for try await _ in inference.stream(TinyRag.questions[0]) { break }
        #expect(try await inference.answer(["why"]).count == 1)
    }

    @Test(arguments: ["generator_tokenizer", "question_encoder_tokenizer"])
    func settledText(name: String) throws {
        let tokenizer = try TinyRag.tokenizer(name)
        for text in ["it's a do n't , well . Größe 漢字 👍🏽 end", "we do n't", "one", ""] {
            let ids = tokenizer.encode(text).ids
            var stream = StreamedText(tokenizer)
            var found = ""
            for end in 0...ids.count { found += stream.advance(to: Array(ids[..<end])) }
            let whole = String(tokenizer.decode(ids).drop { $0.isWhitespace })
            #expect(whole.utf8.starts(with: found.utf8), "\(found)")
            #expect(found.utf8.count + 24 > whole.utf8.count, "little is held back")
            found += stream.rest(of: whole)
            #expect(found == whole)
        }
    }
}
