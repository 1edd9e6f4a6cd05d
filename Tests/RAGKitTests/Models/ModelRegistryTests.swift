import Foundation
import Testing

@testable import RAGKit

/// Models are loaded by the `model_type` of their files: the library's own families and a user's.
@Suite struct ModelRegistryTests {
    /// A folder with the files of a model.
    private func folder(
        _ place: TemporaryDirectory, _ name: String, _ model: any HuggingFaceModel
    ) throws -> URL {
        let folder = place.file(name)
        try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
        try model.huggingFaceConfiguration.write(to: folder.appendingPathComponent("config.json"))
        try model.saveWeights(to: folder.appendingPathComponent("model.safetensors"))
        return folder
    }

    private func expectSame(_ found: Module, _ expected: Module) {
        let (mine, theirs) = (found.namedValues(), expected.namedValues())
        #expect(mine.map(\.name) == theirs.map(\.name))
        for (a, b) in zip(mine, theirs) {
            expectIdentical(a.parameter.value, b.parameter.value, a.name)
        }
    }

    @Test func generatorsByTheirOwnTypes() throws {
        let place = try TemporaryDirectory()
        let bart = BartGenerator(configuration: TinyModels.bart)
        let t5 = T5Generator(configuration: TinyModels.t5)
        bart.randomize(seed: 1)
        t5.randomize(seed: 2)
        let (first, second) = (try folder(place, "bart", bart), try folder(place, "t5", t5))
        expectSame(try BartGenerator(contentsOf: first), bart)
        expectSame(try T5Generator(contentsOf: second), t5)
        #expect(try ModelRegistry.standard.generator(contentsOf: first) is BartGenerator)
        #expect(try ModelRegistry.standard.generator(contentsOf: second) is T5Generator)
        let error = #expect(throws: ConfigurationError.self) {
            _ = try BartGenerator(contentsOf: second)
        }
        #expect(error == .unsupported(key: "model_type", value: "t5", expected: "bart"))
        #expect(throws: ConfigurationError.self) { _ = try T5Generator(contentsOf: first) }
    }

    @Test func partsOfARagCheckpoint() throws {
        let place = try TemporaryDirectory()
        let model = try TinyRag.model(endToEnd: false)
        let whole = place.file("rag")
        try model.save(to: whole)
        expectSame(try BartGenerator(contentsOf: whole), model.generator)
        let encoder = try ModelRegistry.standard.textEncoder(contentsOf: whole, role: .question)
        #expect(encoder is DPREncoder)
        expectSame(encoder, model.questionEncoder)
    }

    /// A user's own encoders are saved and loaded with a RAG model, and by themselves.
    @Test func encodersOfAUsersOwnFamily() async throws {
        let place = try TemporaryDirectory()
        let plain = try TinyRag.model(endToEnd: false)
        let size = plain.questionTokenizer.vocabularySize
        let model = try RagModel(
            questionEncoder: MeanWordsEncoder(vocabularySize: size, seed: 1),
            questionTokenizer: plain.questionTokenizer, generator: plain.generator,
            generatorTokenizer: plain.generatorTokenizer, retriever: TinyRag.retriever(),
            configuration: plain.configuration)
        try model.setContextEncoder(MeanWordsEncoder(vocabularySize: size, seed: 2))
        model.setContextEncoderTokenizer(plain.questionTokenizer)
        model.generation.maxLength = 8
        let whole = place.file("rag")
        try model.save(to: whole)

        let again = try RagModel(contentsOf: whole, models: MeanWordsEncoder.models)
        expectSame(again, model)
        #expect(again.contextEncoder is MeanWordsEncoder)
        again.retriever = model.retriever
        let ids = try await model.generate(TinyRag.questions)
        #expect(try await again.generate(TinyRag.questions) == ids)
        expectSame(
            try MeanWordsEncoder.models.textEncoder(contentsOf: whole, role: .question),
            model.questionEncoder)

        let error = #expect(throws: ConfigurationError.self) {
            _ = try RagModel(contentsOf: whole)
        }
        #expect(error?.description.contains(MeanWordsEncoder.modelType) == true)
        #expect(error?.description.contains("bert, dpr") == true, "the known types are named")
    }

    /// A context encoder among a RAG model's weights is of the question encoder's family.
    @Test func encodersOfAUsersOwnFamilyAmongTheWeights() throws {
        let place = try TemporaryDirectory()
        let encoder = MeanWordsEncoder(vocabularySize: 7, seed: 3)
        let files = ModelFiles(
            configuration: encoder.huggingFaceConfiguration,
            weights: try ModelWeights(directory: folder(place, "encoder", encoder)).renamed {
                "rag.ctx_encoder." + $0
            }, isPart: true)
        expectSame(try MeanWordsEncoder.models.textEncoder(files, .context), encoder)
    }

    @Test func generatorsOfAUsersOwnFamily() throws {
        let place = try TemporaryDirectory()
        let bart = BartGenerator(configuration: TinyModels.bart)
        bart.randomize(seed: 1)
        let folder = try folder(place, "mine", bart)
        var json = bart.huggingFaceConfiguration
        json["model_type"] = "my_bart"
        try json.write(to: folder.appendingPathComponent("config.json"))
        let models = ModelRegistry.standard.registering(
            generator: { BartGenerator(configuration: try BartConfiguration(json: $0)) },
            for: "my_bart")
        expectSame(try models.generator(contentsOf: folder), bart)
        #expect(throws: ConfigurationError.self, "the standard registry is a value of its own") {
            _ = try ModelRegistry.standard.generator(contentsOf: folder)
        }
    }
}
