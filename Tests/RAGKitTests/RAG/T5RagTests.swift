import Foundation
import Testing

@testable import RAGKit

/// What is T5's own in a RAG model: where decoding starts, and which matrix makes the logits.
@Suite struct T5RagTests {
    private static func model(
        _ kind: Marginalization = .token, _ change: (inout T5Configuration) -> Void = { _ in }
    ) throws -> RagModel {
        let words = try TinyRag.tokenizer("question_encoder_tokenizer")
        let pieces = try TinyRag.tokenizer("generator_tokenizer")
        var t5 = TinyModels.t5
        t5.vocabSize = pieces.vocabularySize
        t5.tokenIDs = GeneratorTokenIDs(bos: nil, eos: 2, pad: 1, decoderStart: 3)
        change(&t5)
        let generator = T5Generator(configuration: t5)
        generator.randomize(seed: 5)
        var configuration = RagConfiguration()
        configuration.marginalization = kind
        configuration.nDocs = 3
        let model = try RagModel(
            questionEncoder: TinyRag.encoder(
                .question, vocabulary: words.vocabularySize, seed: 6),
            questionTokenizer: words, generator: generator, generatorTokenizer: pieces,
            retriever: TinyRag.retriever(), configuration: configuration)
        model.generation.maxLength = 8
        return model
    }

    /// The reference, too, puts the start token before a target of T5, so the switch that says
    /// otherwise of BART changes nothing, and no token of the target is lost.
    @Test(arguments: [Marginalization.token, .sequence], [false, true])
    func decodingStartsWithTheStartToken(kind: Marginalization, switched: Bool) throws {
        let model = try Self.model(kind)
        model.configuration.compatibility.startsDecoderWithTarget = switched
        let targets = try model.targetTokens(TinyRag.answers)
        let evidence = try model.evidence(TinyRag.questions, passages: TinyRag.found())
        let loss = try model.loss(
            vectors: model.questionEncoder(model.questionTokens(TinyRag.questions)),
            evidence: evidence, targets: targets)
        #expect(loss.targetTokens == targets.ids.count)
        let naive = NaiveRag(
            model, contexts: evidence.contexts,
            scores: Naive.rows(loss.documentScores.doubles, width: 3),
            targets: targets.sequences, start: model.generator.tokenIDs.decoderStart)
        for (question, found) in loss.perExample.doubles.enumerated() {
            let expected = kind == .token ? naive.token(question) : naive.sequence(question)
            expectClose(found, expected, relative: 1e-5, "question \(question)")
        }
    }

    /// Tied and scaled (v1.0), a matrix of its own (v1.1), or what the reference's RAG-token class
    /// makes of v1.1: the embedding matrix, unscaled.
    @Test(arguments: [(true, false), (false, false), (false, true)])
    func theHeadIsSavedAndLoaded(isTied: Bool, isShared: Bool) async throws {
        let model = try Self.model {
            $0.tieWordEmbeddings = isTied
            $0.sharesUnscaledHead = isShared
        }
        let place = try TemporaryDirectory()
        let folder = place.file("model")
        try model.save(to: folder)
        let json = try JSONValue(contentsOf: folder.appendingPathComponent("config.json"))
        #expect(json["generator"]?["tie_word_embeddings"] == .bool(isTied))
        #expect(json["tie_word_embeddings"] == .bool(isTied || isShared))
        let name = "rag.generator.lm_head.weight"
        let names = try ModelWeights(directory: folder).names
        #expect(names.contains(name) == !(isTied || isShared))

        let again = try RagModel(contentsOf: folder)
        let (found, expected) = (again.generator.projection, model.generator.projection)
        expectIdentical(found.weight, expected.weight, name)
        #expect(found.scale == expected.scale && (found.scale == 1) == !isTied)
        #expect(
            again.namedValues().contains { $0.name == name } == !(isTied || isShared),
            "a shared matrix is one parameter")
        let alone = try T5Generator(contentsOf: folder).projection
        expectIdentical(alone.weight, expected.weight, "the generator by itself")
        #expect(alone.scale == expected.scale)
        again.retriever = model.retriever
        let ids = try await model.generate(TinyRag.questions)
        #expect(try await again.generate(TinyRag.questions) == ids)
        #expect(ids.allSatisfy { $0.first == model.generator.tokenIDs.decoderStart })
    }

    /// Not a test: writes the golden folders' models as RAGKit saves them, for
    /// `Fixtures/check_with_transformers.py`.
    @Test(.enabled(if: ProcessInfo.processInfo.environment["RAGKIT_SAVE_GOLDEN"] != nil))
    func saveGoldenModels() throws {
        let path = try #require(ProcessInfo.processInfo.environment["RAGKIT_SAVE_GOLDEN"])
        for (index, golden) in Golden.all.enumerated() {
            let model = try RagModel(contentsOf: golden.folder.appendingPathComponent("rag"))
            try model.loadContextEncoder(from: golden.folder.appendingPathComponent("ctx_encoder"))
            let name = "\(index)-\(golden.folder.lastPathComponent)"
            try model.save(
                to: URL(fileURLWithPath: path).appendingPathComponent(name), replacing: true)
        }
    }
}
