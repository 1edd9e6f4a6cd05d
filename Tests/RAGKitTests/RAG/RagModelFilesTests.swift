import Foundation
import Testing

@testable import RAGKit

/// Loading and saving of whole models, from the golden folders' files.
@Suite(.tags(.files)) struct RagModelFilesTests {
    @Test(arguments: Golden.all)
    func savedAndLoadedBitForBit(golden: Golden) async throws {
        let place = try TemporaryDirectory()
        let first = place.file("first")
        let model = try loaded(golden)
        model.configuration.marginalization = .sequence
        model.configuration.nDocs = 2
        model.configuration.maxQuestionLength = 40
        model.configuration.maxTargetLength = 17
        model.configuration.labelSmoothing = 0.1
        model.configuration.docSep = " ;; "
        model.configuration.titleSep = " : "
        model.configuration.excludeBosScore = true
        model.configuration.doDeduplication = false
        model.configuration.compatibility.addsPriorAtSecondToken = true
        model.configuration.compatibility.omitsSpaceBeforeTarget = true
        model.generation.maxLength = 11
        model.generation.minLength = 3
        try model.save(to: first)
        let again = try RagModel(contentsOf: first)
        try await expectSameModel(again, model, golden)

        // Over itself, though its weights are mapped from the files that go.
        again.configuration.nDocs = 1
        try again.save(to: first, replacing: true)
        try await expectSameModel(RagModel(contentsOf: first), again, golden)
        #expect(try place.names() == ["first"], "nothing is left behind")
        #expect(throws: (any Error).self, "not over what is there, unless told") {
            try again.save(to: first)
        }
        #expect(try RagModel(contentsOf: first).configuration.nDocs == 1)

        // The context encoder has a folder of its own, and its tensors are nowhere else.
        let weights = try ModelWeights(directory: first)
        #expect(!weights.names.contains { $0.contains("ctx_encoder") })
        again.removeContextEncoder()
        try again.save(to: first, replacing: true)
        #expect(try RagModel(contentsOf: first).contextEncoder == nil)
    }

    /// Weights in another precision are said to be converted.
    @Test func convertedTypesAreSaid() throws {
        let place = try TemporaryDirectory()
        let directory = place.file("model")
        try TinyRag.model().save(to: directory)
        #expect(try RagModel(contentsOf: directory).convertedTypes.isEmpty)
        let file = directory.appendingPathComponent("model.safetensors")
        let weights = try ModelWeights(contentsOf: file)
        var writer = SafetensorsWriter(metadata: ["format": "pt"], alignment: 64)
        for name in weights.names {
            let tensor = try weights.tensor(name)
            try writer.add(
                name, dtype: .bfloat16, shape: tensor.shape,
                values: tensor.elements.map { UInt16($0.bitPattern >> 16) })
        }
        try writer.write(to: file)
        #expect(try RagModel(contentsOf: directory).convertedTypes == ["bfloat16"])
    }

    private func loaded(_ golden: Golden) throws -> RagModel {
        let model = try RagModel(contentsOf: golden.folder.appendingPathComponent("rag"))
        try model.loadContextEncoder(from: golden.folder.appendingPathComponent("ctx_encoder"))
        return model
    }

    private func expectSameModel(
        _ found: RagModel, _ expected: RagModel, _ golden: Golden
    ) async throws {
        let (mine, theirs) = (found.namedValues(), expected.namedValues())
        #expect(mine.map(\.name) == theirs.map(\.name))
        for (a, b) in zip(mine, theirs) {
            expectIdentical(a.parameter.value, b.parameter.value, a.name)
        }
        #expect(found.generation == expected.generation)
        var (a, b) = (found.configuration, expected.configuration)
        (a.original, b.original) = ([:], [:])
        #expect(a == b)
        #expect(found.questionTokenizer.fingerprint == expected.questionTokenizer.fingerprint)
        #expect(found.generatorTokenizer.fingerprint == expected.generatorTokenizer.fingerprint)
        #expect(found.contextTokenizer?.fingerprint == expected.contextTokenizer?.fingerprint)
        let questions = try golden.strings("questions")
        for model in [found, expected] {
            model.retriever = try DenseRetriever(
                KnowledgeBase(passages: golden.passages),
                vectors: golden.tensors.tensor("kb_embeddings"))
        }
        let ids = try await expected.generate(questions)
        #expect(try await found.generate(questions) == ids)
    }

    /// A file that is there is replaced, never written into: a second name of it keeps what it had.
    @Test func nothingIsWrittenInPlace() throws {
        let place = try TemporaryDirectory()
        let folder = place.file("model")
        try TinyRag.model(seed: 1).save(to: folder)
        let names = try FileManager.default.subpathsOfDirectory(atPath: folder.path)
            .filter { $0.contains(".") }  // folders have no ending
        #expect(names.count > 8)
        let before = try names.enumerated().map { index, name in
            let url = folder.appendingPathComponent(name)
            #expect(link(url.path, place.file("\(index)").path) == 0, "\(name)")
            return try Data(contentsOf: url)
        }
        try TinyRag.model(seed: 2).saveFiles(in: folder)
        for (index, name) in names.enumerated() {
            let second = place.file("\(index)")
            #expect(try Data(contentsOf: second) == before[index], "\(name)")
            #expect(
                number(second) != number(folder.appendingPathComponent(name)),
                "\(name) is the same file as before")
        }
    }

    /// The number by which the file system knows a file, whatever its names.
    private func number(_ url: URL) -> UInt64 {
        var status = stat()
        #expect(lstat(url.path, &status) == 0)
        return UInt64(status.st_ino)
    }

    /// Keys that only others know survive, and an emptied prefix stays empty.
    @Test func configurationsKeepWhatOthersWrote() throws {
        var json = try JSONValue(
            contentsOf: TinyRag.folder().appendingPathComponent("rag/config.json"))
        json["somebody_elses"] = ["key": 3]
        json["generator"]?["prefix"] = "read: "
        var configuration = try RagConfiguration(json: json)
        #expect(configuration.prefix == "read: " && configuration.marginalization == .token)
        func written() throws -> JSONValue {
            let generator = try #require(json["generator"])
            return configuration.json(
                questionEncoder: try #require(json["question_encoder"]), generator: generator)
        }
        #expect(try written()["somebody_elses"] == ["key": 3])
        #expect(try RagConfiguration(json: written()).prefix == "read: ")
        configuration.prefix = ""
        #expect(try RagConfiguration(json: written()).prefix == "")
        configuration.prefix = "say: "
        #expect(try RagConfiguration(json: written()).prefix == "say: ")
        json["ragkit_compatibility"] = ["no_such_switch"]
        let error = #expect(throws: ConfigurationError.self) {
            _ = try RagConfiguration(json: json)
        }
        #expect(error?.description.contains("no_such_switch") == true)
    }

    // MARK: The context encoder's tokenizer

    @Test func givenPathComesFirst() throws {
        let (place, model) = (try TemporaryDirectory(), try TinyRag.model(endToEnd: false))
        let encoder = try encoderFolder(place, tokenizers: ["", "ctx_tokenizer", "given"])
        let source = try model.loadContextEncoder(from: encoder, tokenizer: place.file("given"))
        #expect(source == .directory(place.file("given").path))
        #expect(throws: TokenizerError.self, "no other is taken in its place") {
            try model.loadContextEncoder(from: encoder, tokenizer: place.file("none"))
        }
    }

    @Test func thenTheEncodersFolderThenItsSibling() throws {
        let (place, model) = (try TemporaryDirectory(), try TinyRag.model(endToEnd: false))
        let encoder = try encoderFolder(place, tokenizers: ["", "ctx_tokenizer"])
        #expect(try model.loadContextEncoder(from: encoder) == .directory(encoder.path))
        try FileManager.default.removeItem(at: encoder.appendingPathComponent("vocab.txt"))
        #expect(
            try model.loadContextEncoder(from: encoder)
                == .directory(place.file("ctx_tokenizer").path))
        #expect(model.contextEncoder != nil && model.contextTokenizer != nil)
    }

    @Test func atLastTheQuestionTokenizerIfItFits() throws {
        let (place, model) = (try TemporaryDirectory(), try TinyRag.model(endToEnd: false))
        let encoder = try encoderFolder(place, tokenizers: [])
        #expect(try model.loadContextEncoder(from: encoder) == .questionTokenizer)
        #expect(model.contextTokenizer?.fingerprint == model.questionTokenizer.fingerprint)

        let other = try TinyRag.model(endToEnd: false)
        let larger = try encoderFolder(place, name: "larger", tokenizers: [], extraWords: 5)
        let error = #expect(throws: RagError.self) { try other.loadContextEncoder(from: larger) }
        #expect(error?.description.contains("no tokenizer for the context encoder") == true)
        let size = model.questionTokenizer.vocabularySize
        #expect(error?.description.contains("\(size + 5)") == true)
        #expect(other.contextEncoder == nil && other.contextTokenizer == nil)
    }

    /// A folder with an encoder; `tokenizers` names folders beside it, `""` itself.
    private func encoderFolder(
        _ place: TemporaryDirectory, name: String = "ctx", tokenizers: [String],
        extraWords: Int = 0
    ) throws -> URL {
        let folder = place.file(name)
        try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
        let tokenizer = try TinyRag.tokenizer("question_encoder_tokenizer")
        let encoder = TinyRag.encoder(
            .context, vocabulary: tokenizer.vocabularySize + extraWords, seed: 4)
        try encoder.saveFiles(in: folder)
        for other in tokenizers {
            try tokenizer.save(to: other.isEmpty ? folder : place.file(other))
        }
        return folder
    }

    // MARK: What is missing or does not fit

    /// A copy of the tiny model's folder, to be damaged.
    private func savedFolder(_ place: TemporaryDirectory) throws -> URL {
        let folder = place.file("model")
        try TinyRag.model().save(to: folder)
        return folder
    }

    @Test(arguments: [
        ("config.json", ["config.json", "no file"]),
        ("model.safetensors", ["model.safetensors", "no file"]),
        ("question_encoder_tokenizer", ["question_encoder_tokenizer", "vocab.txt"]),
        ("generator_tokenizer/merges.txt", ["generator_tokenizer", "merges.txt"]),
        ("ctx_encoder/config.json", ["ctx_encoder", "config.json"]),
        ("ctx_encoder/model.safetensors", ["ctx_encoder", "model.safetensors"]),
    ])
    func missingFilesAreNamed(file: String, words: [String]) throws {
        let place = try TemporaryDirectory()
        let folder = try savedFolder(place)
        try FileManager.default.removeItem(at: folder.appendingPathComponent(file))
        let error = #expect(throws: (any Error).self) { _ = try RagModel(contentsOf: folder) }
        for word in words { #expect("\(error.map { "\($0)" } ?? "")".contains(word)) }
    }

    @Test func otherModelsAreRefused() throws {
        let place = try TemporaryDirectory()
        let folder = try savedFolder(place)
        let error = #expect(throws: RagError.self) {
            _ = try RagModel(contentsOf: folder.appendingPathComponent("ctx_encoder"))
        }
        #expect(error?.description.contains("not a RAG checkpoint") == true)
        let file = folder.appendingPathComponent("config.json")
        for (part, type) in [("generator", "gpt2"), ("question_encoder", "roberta")] {
            let whole = try JSONValue(contentsOf: file)
            var json = whole
            json[part]?["model_type"] = .string(type)
            try json.write(to: file)
            let error = #expect(throws: ConfigurationError.self) {
                _ = try RagModel(contentsOf: folder)
            }
            #expect(error?.description.contains(type) == true)
            try whole.write(to: file)
        }
    }

    /// All that does not line up is named in one error, and nothing changes.
    @Test func tensorsThatDoNotFit() throws {
        let place = try TemporaryDirectory()
        let model = try TinyRag.model()
        let before = model.namedValues().map(\.parameter.value)
        let missing = [
            "rag.generator.model.shared.weight",
            "rag.question_encoder.question_encoder."
                + "bert_model.encoder.layer.0.attention.self.query.weight",
        ]
        let bias = "rag.question_encoder.question_encoder.encode_proj.bias"
        var writer = SafetensorsWriter()
        for (name, parameter) in model.namedValues() where !name.hasPrefix("rag.ctx_encoder.") {
            if missing.contains(name) { continue }
            let value = name == bias ? Tensor.zeros([7]) : parameter.value
            try writer.add(name, dtype: .float32, shape: value.shape) { emit in
                try value.withUnsafeElements { try emit(UnsafeRawBufferPointer($0)) }
            }
        }
        for name in ["rag.extra.one", "rag.extra.two"] {
            try writer.add(name, dtype: .float32, shape: [1]) { emit in
                try [Float(1)].withUnsafeBytes { try emit($0) }
            }
        }
        let folder = place.file("model")
        try model.save(to: folder)
        try FileManager.default.removeItem(at: folder.appendingPathComponent("model.safetensors"))
        try writer.write(to: folder.appendingPathComponent("model.safetensors"))
        let error = #expect(throws: CheckpointError.self) { _ = try RagModel(contentsOf: folder) }
        guard case .doesNotFit(let lost, let unexpected, let wrong)? = error else {
            Issue.record("another error: \(error.map { "\($0)" } ?? "none")")
            return
        }
        #expect(Set(lost) == Set(missing))
        #expect(unexpected == ["rag.extra.one", "rag.extra.two"])
        #expect(wrong.count == 1 && wrong[0].contains(bias) && wrong[0].contains("[7]"))
        let text = error?.description ?? ""
        for name in missing + unexpected + [bias] { #expect(text.contains(name)) }
        #expect(throws: CheckpointError.self) {
            try model.load(
                ModelWeights(directory: folder), ignoring: { $0.hasPrefix("rag.ctx_encoder.") })
        }
        for (value, parameter) in zip(before, model.namedValues()) {
            expectIdentical(parameter.parameter.value, value, parameter.name)
        }
    }
}
