import Foundation
import Testing

@testable import RAGKit

/// One encoder in files of every origin.
@Suite(.tags(.files)) struct EncoderLayoutTests {
    private static var source: DPREncoder {
        TinyRag.encoder(.context, vocabulary: 30, seed: 5, dimension: 0)
    }
    private static let prefix = "ctx_encoder.bert_model."

    /// A folder with the source's weights under names that begin with `prefix`.
    private func folder(
        _ prefix: String, type: String = "bert", extra: [String] = [],
        name: (String) -> String = { $0 }
    ) throws -> TemporaryDirectory {
        let folder = try TemporaryDirectory()
        var json = Self.source.huggingFaceConfiguration
        json["model_type"] = .string(type)
        try json.write(to: folder.file("config.json"))
        let one = Tensor([1], shape: [1])
        try WeightWriter.write(
            Self.source, to: folder.file("model.safetensors"), extra: extra.map { ($0, one) }
        ) { name(prefix + $0.dropFirst(Self.prefix.count)) }
        return folder
    }

    private func expectSource(_ encoder: DPREncoder, _ what: String) {
        for (a, b) in zip(encoder.namedValues(), Self.source.namedValues()) {
            expectIdentical(a.parameter.value, b.parameter.value, "\(what): \(a.name)")
        }
        let batch = TokenBatch([[1, 2, 3], [4, 5]])
        expectIdentical(encoder(batch), Self.source(batch), what)
    }

    @Test(arguments: [EncoderRole.question, .context]) func everyLayoutLoadsEqual(
        role: EncoderRole
    ) throws {
        let layouts = [
            ("", ["embeddings.position_ids", "pooler.dense.weight", "pooler.dense.bias"]),
            (
                "bert.",
                ["bert.pooler.dense.weight", "cls.predictions.bias", "cls.seq_relationship.weight"]
            ),
            ("bert_model.", []),
            ("question_encoder.bert_model.", ["question_encoder.bert_model.pooler.dense.weight"]),
            ("ctx_encoder.bert_model.", ["ctx_encoder.bert_model.embeddings.position_ids"]),
        ]
        for (prefix, extra) in layouts {
            let folder = try folder(prefix, extra: extra)
            expectSource(try DPREncoder(contentsOf: folder.url, role: role), prefix)
        }
    }

    @Test func oldNamesOfNorms() throws {
        let folder = try folder("bert.") { name in
            name.replacing("LayerNorm.weight", with: "LayerNorm.gamma")
                .replacing("LayerNorm.bias", with: "LayerNorm.beta")
        }
        expectSource(try DPREncoder(contentsOf: folder.url, role: .question), "gamma and beta")
    }

    @Test func projectionsGoWithTheirTower() throws {
        let source = TinyRag.encoder(.question, vocabulary: 30, seed: 6, dimension: 7)
        let folder = try TemporaryDirectory()
        try source.saveFiles(in: folder.url)
        let encoder = try DPREncoder(contentsOf: folder.url, role: .context)
        let batch = TokenBatch([[1, 2, 3], [4, 5]])
        expectIdentical(encoder(batch), source(batch))
        #expect(encoder.allNames().map(\.name).contains("ctx_encoder.encode_proj.bias"))
    }

    /// Nothing is left out silently: heads and projections that nobody asked for are named.
    @Test func whatDoesNotBelongIsNamed() throws {
        for extra in [
            "classifier.weight", "bert.encoder.layer.7.output.dense.weight", "qa_outputs.bias",
        ] {
            let folder = try folder("bert.", extra: [extra])
            let error = #expect(throws: CheckpointError.self) {
                _ = try DPREncoder(contentsOf: folder.url, role: .question)
            }
            let name = extra.replacing("bert.", with: "question_encoder.bert_model.")
            #expect(error?.description.contains(name) == true, "\(error.map { "\($0)" } ?? "")")
        }
        let projected = try folder(
            "question_encoder.bert_model.", type: "dpr",
            extra: ["question_encoder.encode_proj.weight"])
        let error = #expect(throws: CheckpointError.self) {
            _ = try DPREncoder(contentsOf: projected.url, role: .question)
        }
        #expect(error?.description.contains("encode_proj") == true)
    }

    @Test func otherModelsAreRefused() throws {
        let roberta = try folder("roberta.", type: "roberta")
        let error = #expect(throws: ConfigurationError.self) {
            _ = try DPREncoder(contentsOf: roberta.url, role: .question)
        }
        #expect(error?.description.contains("roberta") == true)
        let folder = try folder("x.") { $0.replacing("word_embeddings", with: "wte") }
        let unknown = #expect(throws: CheckpointError.self) {
            _ = try DPREncoder(contentsOf: folder.url, role: .question)
        }
        #expect(unknown?.description.contains("embeddings.word_embeddings.weight") == true)
        #expect(unknown?.description.contains("'x.embeddings.wte.weight'") == true)
    }

    /// Both encoders of a RAG checkpoint can be had by themselves.
    @Test(arguments: ["rag.", ""]) func partsOfARagCheckpoint(prefix: String) throws {
        let folder = try TemporaryDirectory()
        let model = try TinyRag.model()
        try model.saveFiles(in: folder.url)
        try WeightWriter.write(model, to: folder.file("model.safetensors")) {
            prefix + $0.dropFirst("rag.".count)
        }
        for (role, part) in [
            (EncoderRole.question, model.questionEncoder), (.context, model.contextEncoder),
        ] {
            let encoder = try DPREncoder(contentsOf: folder.url, role: role)
            let batch = TokenBatch([[1, 2, 3], [4, 5]])
            let expected = try #require(part)
            expectIdentical(encoder(batch), expected(batch), role.rawValue)
        }
    }
}

@Suite(.tags(.files)) struct RagLayoutTests {
    private func expectSame(_ found: RagModel, _ expected: RagModel, _ what: String = "") {
        let (mine, theirs) = (found.namedValues(), expected.namedValues())
        #expect(mine.map(\.name) == theirs.map(\.name), "\(what)")
        for (a, b) in zip(mine, theirs) {
            expectIdentical(a.parameter.value, b.parameter.value, "\(what) \(a.name)")
        }
    }

    /// The tiny model's files, without a context encoder.
    private func folder(_ place: TemporaryDirectory, _ name: String = "model") throws -> URL {
        let folder = place.file(name)
        try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
        try TinyRag.model(endToEnd: false).saveFiles(in: folder)
        return folder
    }

    @Test(arguments: ["rag.", ""], [true, false])
    func withAndWithoutPrefixAndContextEncoder(prefix: String, hasContext: Bool) throws {
        let place = try TemporaryDirectory()
        let folder = try folder(place)
        let model = try TinyRag.model(endToEnd: hasContext)
        try WeightWriter.write(model, to: folder.appendingPathComponent("model.safetensors")) {
            prefix + $0.dropFirst("rag.".count)
        }
        let loaded = try RagModel(contentsOf: folder)
        expectSame(loaded, model)
        #expect((loaded.contextEncoder != nil) == hasContext)
        #expect(loaded.contextTokenizerSource == (hasContext ? .questionTokenizer : nil))
    }

    @Test func aWholeOtherModelIsRefused() throws {
        let place = try TemporaryDirectory()
        let folder = try folder(place)
        try WeightWriter.write(
            [("transformer.wte.weight", .zeros([2, 2]))],
            to: folder.appendingPathComponent("model.safetensors"))
        let error = #expect(throws: CheckpointError.self) { _ = try RagModel(contentsOf: folder) }
        #expect(error?.description.contains("'transformer.wte.weight'") == true)
    }

    @Test(arguments: [
        "runs/dpr_ctx_checkpoint/checkpoint3", "runs/dpr_ctx_checkpoint",
        "runs/checkpoint3/dpr_ctx_checkpoint", "runs/checkpoint3/ctx_encoder",
    ]) func contextEncodersOfFineTunedCheckpoints(place name: String) throws {
        let place = try TemporaryDirectory()
        let folder = try folder(place, "runs/checkpoint3")
        let model = try TinyRag.model()
        let context = place.file(name)
        try FileManager.default.createDirectory(at: context, withIntermediateDirectories: true)
        try #require(model.contextEncoder as? DPREncoder).saveFiles(in: context)
        try TinyRag.tokenizer("question_encoder_tokenizer").save(to: context)
        let loaded = try RagModel(contentsOf: folder)
        expectSame(loaded, model)
        #expect(loaded.contextTokenizerSource == .directory(context.path))
    }

    @Test func putTogetherFromItsParts() throws {
        let place = try TemporaryDirectory()
        let model = try TinyRag.model(endToEnd: false)
        let (encoder, generator) = (place.file("encoder"), place.file("generator"))
        for folder in [encoder, generator] {
            try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
        }
        try #require(model.questionEncoder as? DPREncoder).saveFiles(in: encoder)
        try model.questionTokenizer.save(to: encoder)
        var bart = try #require(model.generator as? BartGenerator)
        try bart.huggingFaceConfiguration.write(to: generator.appendingPathComponent("config.json"))
        try model.generatorTokenizer.save(to: generator)
        let weights = generator.appendingPathComponent("model.safetensors")
        let layouts: [(String) -> String?] = [
            { $0 },
            { $0 == "final_logits_bias" ? nil : String($0.dropFirst("model.".count)) },
            { "generator." + $0 }, { "rag.generator." + $0 },
        ]
        for (index, layout) in layouts.enumerated() {
            if index == 1 { bart = TinyRag.generator(vocabulary: bart.vocabularySize, seed: 101) }
            try WeightWriter.write(bart, to: weights, name: layout)
            let found = try RagModel(questionEncoder: encoder, generator: generator)
            for (a, b) in zip(found.namedValues(), model.namedValues())
            where index != 1 || !a.name.hasSuffix("final_logits_bias") {
                expectIdentical(a.parameter.value, b.parameter.value, "\(index) \(a.name)")
            }
        }
        // What is put together can be saved, and its parts taken out again.
        let whole = place.file("rag")
        try RagModel(questionEncoder: encoder, generator: generator).save(to: whole)
        let config = try JSONValue(contentsOf: whole.appendingPathComponent("config.json"))
        #expect(try config.int("retrieval_vector_size") == 6)
        let part = try ModelRegistry.standard.generator(contentsOf: whole)
        for (a, b) in zip(part.namedValues(), model.generator.namedValues()) {
            expectIdentical(a.parameter.value, b.parameter.value, a.name)
        }
        expectSame(
            try RagModel(
                questionEncoder: whole, generator: whole,
                questionTokenizer: whole.appendingPathComponent("question_encoder_tokenizer"),
                generatorTokenizer: whole.appendingPathComponent("generator_tokenizer")), model)
    }
}
