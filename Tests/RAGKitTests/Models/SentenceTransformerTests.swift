import Foundation
import Testing

@testable import RAGKit

/// Directories of sentence-transformers, written here as that library lays them out.
@Suite(.tags(.files)) struct SentenceTransformerTests {
    private static let width = 12
    private static var bert: DPREncoder {
        TinyRag.encoder(.question, vocabulary: 30, seed: 5, dimension: 0)
    }
    private static let batch = TokenBatch([[1, 2, 3], [4, 5, 6, 7, 8]])

    private static let modes = ["cls_token", "mean_tokens", "max_tokens", "mean_sqrt_len_tokens"]

    private static func pooling(_ chosen: [String]) -> JSONValue {
        var json: JSONValue = ["word_embedding_dimension": .int(width)]
        for mode in modes { json["pooling_mode_\(mode)"] = .bool(chosen.contains(mode)) }
        return json
    }

    private struct Layer {
        var folder: String
        var type: String
        var config: JSONValue?
    }

    private func folder(
        _ layers: [Layer], transformer: String = "", settings: JSONValue? = nil
    ) throws -> TemporaryDirectory {
        let place = try TemporaryDirectory()
        let all = [Layer(folder: transformer, type: "Transformer", config: nil)] + layers
        let modules = all.enumerated().map { index, layer -> JSONValue in
            [
                "idx": .int(index), "name": .string("\(index)"), "path": .string(layer.folder),
                "type": .string("sentence_transformers.models.\(layer.type)"),
            ]
        }
        try JSONValue.array(modules).write(to: place.file("modules.json"))
        for layer in all {
            let folder = place.file(layer.folder)
            try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
            try layer.config?.write(to: folder.appendingPathComponent("config.json"))
        }
        let root = place.file(transformer)
        var json = Self.bert.huggingFaceConfiguration
        json["model_type"] = "bert"
        try json.write(to: root.appendingPathComponent("config.json"))
        try settings?.write(to: root.appendingPathComponent("sentence_bert_config.json"))
        let prefix = "question_encoder.bert_model."
        try WeightWriter.write(Self.bert, to: root.appendingPathComponent("model.safetensors")) {
            String($0.dropFirst(prefix.count))
        }
        return place
    }

    @Test(arguments: ["cls_token", "mean_tokens"], [true, false])
    func poolingAndNormalization(mode: String, normalizes: Bool) throws {
        var layers = [Layer(folder: "1_Pooling", type: "Pooling", config: Self.pooling([mode]))]
        if normalizes { layers.append(Layer(folder: "2_Normalize", type: "Normalize")) }
        let folder = try folder(layers, settings: ["max_seq_length": 7, "do_lower_case": false])
        for role in [EncoderRole.question, .context] {
            let encoder = try DPREncoder(contentsOf: folder.url, role: role)
            #expect(encoder.dimension == Self.width && encoder.maxTokens == 7)
            let states = Naive.rows(Self.bert.body.bert(Self.batch).doubles, width: Self.width)
            let pooled = Self.batch.offsets.indices.dropLast().map { index -> [Double] in
                let rows = states[Self.batch.offsets[index]..<Self.batch.offsets[index + 1]]
                guard mode == "mean_tokens" else { return rows[rows.startIndex] }
                return (0..<Self.width).map { c in
                    rows.reduce(0) { $0 + $1[c] } / Double(rows.count)
                }
            }
            let expected = pooled.flatMap { row in
                row.map { normalizes ? $0 / Naive.dot(row, row).squareRoot() : $0 }
            }
            expectClose(encoder(Self.batch), expected)
        }
    }

    @Test func theNewerWordForPooling() throws {
        let config: JSONValue = ["word_embedding_dimension": 12, "pooling_mode": "mean"]
        let folder = try folder([Layer(folder: "1_Pooling", type: "Pooling", config: config)])
        #expect(
            try DPREncoder(contentsOf: folder.url, role: .question).configuration.pooling == .mean)
    }

    @Test(arguments: [true, false]) func denseLayers(hasBias: Bool) throws {
        let layers = [
            Layer(folder: "1_Pooling", type: "Pooling", config: Self.pooling(["mean_tokens"])),
            Layer(
                folder: "2_Dense", type: "Dense",
                config: [
                    "in_features": 12, "out_features": 4, "bias": .bool(hasBias),
                    "activation_function": "torch.nn.modules.activation.Tanh",
                ]),
            Layer(folder: "3_Normalize", type: "Normalize"),
        ]
        let folder = try folder(layers, transformer: "0_Transformer")
        var random = SeededGenerator(seed: 3)
        let weight = Tensor.randomNormal([4, 12], using: &random)
        let bias = Tensor.randomNormal([4], using: &random)
        try WeightWriter.write(
            [("linear.weight", weight)] + (hasBias ? [("linear.bias", bias)] : []),
            to: folder.file("2_Dense/model.safetensors"))
        let encoder = try DPREncoder(contentsOf: folder.url, role: .context)
        #expect(encoder.dimension == 4 && encoder.maxTokens == 64)
        var plain = Self.bert.configuration
        plain.pooling = .mean
        let pooler = DPREncoder(configuration: plain)
        pooler.shareValues(of: Self.bert)
        let product = Naive.matmul(
            pooler(Self.batch).doubles, weight.doubles, m: 2, k: 12, n: 4, otherTransposed: true)
        let expected = Naive.rows(
            product.enumerated().map {
                tanhDouble($1 + (hasBias ? Double(bias.elements[$0 % 4]) : 0))
            }, width: 4
        ).flatMap { row in row.map { $0 / Naive.dot(row, row).squareRoot() } }
        expectClose(encoder(Self.batch), expected)

        // Saved as DPR's with words of our own, it is the same encoder.
        let saved = try TemporaryDirectory()
        try encoder.saveFiles(in: saved.url)
        let again = try DPREncoder(contentsOf: saved.url, role: .question)
        expectIdentical(again(Self.batch), encoder(Self.batch))
        #expect(again.maxTokens == encoder.maxTokens)
    }

    private func tanhDouble(_ x: Double) -> Double { Foundation.tanh(x) }

    private static let mean = Layer(
        folder: "1_Pooling", type: "Pooling", config: pooling(["mean_tokens"]))

    private static func layers(_ name: String) -> [Layer] {
        switch name {
        case "max pooling":
            [Layer(folder: "1_Pooling", type: "Pooling", config: pooling(["max_tokens"]))]
        case "two poolings":
            [
                Layer(
                    folder: "1_Pooling", type: "Pooling",
                    config: pooling(["cls_token", "mean_tokens"]))
            ]
        case "no pooling mode": [Layer(folder: "1_Pooling", type: "Pooling", config: pooling([]))]
        case "other width":
            [
                Layer(
                    folder: "1_Pooling", type: "Pooling",
                    config: ["word_embedding_dimension": 13, "pooling_mode_cls_token": true])
            ]
        case "LSTM": [mean, Layer(folder: "2_LSTM", type: "LSTM", config: [:])]
        case "no pooling": [Layer(folder: "1_Normalize", type: "Normalize")]
        case "normalized before":
            [
                mean, Layer(folder: "2_Normalize", type: "Normalize"),
                Layer(folder: "3_Dense", type: "Dense", config: [:]),
            ]
        case "outside": [mean, Layer(folder: "../x", type: "Normalize")]
        default:
            [
                mean,
                Layer(
                    folder: "2_Dense", type: "Dense",
                    config: [
                        "in_features": 12, "out_features": 4, "activation_function": "my.Mish",
                    ]),
            ]
        }
    }

    @Test(arguments: [
        ("max pooling", "pooling_mode_max_tokens"), ("two poolings", "pooling_mode_cls_token + "),
        ("no pooling mode", "none"), ("other width", "13"), ("LSTM", "LSTM"),
        ("no pooling", "Transformer, Normalize"), ("normalized before", "Normalize, Dense"),
        ("outside", "../x"), ("dense of another kind", "my.Mish"),
    ]) func whatIsNotKnownIsNamed(name: String, says: String) throws {
        let folder = try folder(Self.layers(name))
        let error = #expect(throws: ConfigurationError.self) {
            _ = try DPREncoder(contentsOf: folder.url, role: .question)
        }
        #expect(error?.description.contains(says) == true, "\(error.map { "\($0)" } ?? "")")
    }

    @Test func promptsAreNotKnown() throws {
        let folder = try folder([Self.mean])
        try (["default_prompt_name": "query"] as JSONValue).write(
            to: folder.file("config_sentence_transformers.json"))
        let error = #expect(throws: ConfigurationError.self) {
            _ = try DPREncoder(contentsOf: folder.url, role: .question)
        }
        #expect(error?.description.contains("default_prompt_name") == true)
    }

    /// In a RAG model, on both sides.
    @Test func inARagModel() throws {
        let place = try TemporaryDirectory()
        let tokenizer = try TinyRag.tokenizer("question_encoder_tokenizer")
        let source = TinyRag.encoder(
            .context, vocabulary: tokenizer.vocabularySize, seed: 5, dimension: 0)
        let folder = try folder([Self.mean])
        try source.huggingFaceConfiguration.write(to: folder.file("config.json"))
        try WeightWriter.write(source, to: folder.file("model.safetensors")) {
            String($0.dropFirst("ctx_encoder.bert_model.".count))
        }
        try tokenizer.save(to: folder.url)
        let generator = place.file("generator")
        try FileManager.default.createDirectory(at: generator, withIntermediateDirectories: true)
        let pieces = try TinyRag.tokenizer("generator_tokenizer")
        let bart = TinyRag.generator(vocabulary: pieces.vocabularySize, seed: 4)
        try bart.huggingFaceConfiguration.write(to: generator.appendingPathComponent("config.json"))
        try bart.saveWeights(to: generator.appendingPathComponent("model.safetensors"))
        try pieces.save(to: generator)

        let model = try RagModel(questionEncoder: folder.url, generator: generator)
        #expect(try model.loadContextEncoder(from: folder.url) == .directory(folder.url.path))
        try model.save(to: place.file("rag"))
        let again = try RagModel(contentsOf: place.file("rag"))
        for part in [again.questionEncoder, try #require(again.contextEncoder)] {
            #expect((part as? DPREncoder)?.configuration.pooling == .mean)
            expectIdentical(part(Self.batch), model.questionEncoder(Self.batch))
        }
    }
}
