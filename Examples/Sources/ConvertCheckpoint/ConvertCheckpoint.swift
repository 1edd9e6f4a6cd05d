import ArgumentParser
import ExampleSupport
import Foundation
import RAGKit

@main
struct ConvertCheckpoint: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "convert-checkpoint",
        abstract: "Puts a RAG checkpoint together, or writes weights as safetensors.",
        discussion: """
            From a question encoder and a generator (and a context encoder, for end-to-end training)
            to one RAG directory that RAGKit and transformers load:

              convert-checkpoint consolidate --model-type rag_sequence --dest rag \\
                --question-encoder-name-or-path dpr-question --generator-name-or-path bart-large \\
                --context-encoder-name-or-path dpr-context

            From pytorch_model.bin, whole or in shards, to model.safetensors, in every folder of a model:

              convert-checkpoint safetensors rag-bin --dest rag

            Nothing in a file is ever run: a .bin that asks for more than tensors is refused.
            """,
        subcommands: [Consolidate.self, Safetensors.self])
}

struct Consolidate: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Puts a question encoder and a generator together as a RAG checkpoint.")

    @Option(help: "rag_token or rag_sequence.")
    var modelType: ModelType

    @Option(help: "The directory to write.")
    var dest: String

    @Option(help: "The directory of a BART or other sequence-to-sequence model.")
    var generatorNameOrPath: String

    @Option(help: "The directory of a DPR, BERT or sentence-transformers encoder.")
    var questionEncoderNameOrPath: String

    @Option(help: "The generator's tokenizer, if it is elsewhere.")
    var generatorTokenizerNameOrPath: String?

    @Option(help: "The question encoder's tokenizer, if it is elsewhere.")
    var questionEncoderTokenizerNameOrPath: String?

    @Option(help: "A RAG directory whose settings are taken over; RAG's own defaults without it.")
    var configNameOrPath: String?

    @Option(help: "The directory of a context encoder, to go into ctx_encoder/.")
    var contextEncoderNameOrPath: String?

    @Option(help: "The context encoder's tokenizer, if it is elsewhere.")
    var contextEncoderTokenizerNameOrPath: String?

    @Flag(help: "Replace the directory, with everything in it, if it is there.")
    var overwrite = false

    @Flag(help: "Print one JSON object with what was written.")
    var json = false

    func run() async throws {
        try await reporting("convert-checkpoint") {
            let model = try consolidated()
            try model.save(to: URL(fileURLWithPath: dest), replacing: overwrite)
            // What was written can be read: only then is it a success.
            let again = try RagModel(contentsOf: URL(fileURLWithPath: dest))
            report(again, source: model.contextTokenizerSource)
        }
    }

    private func consolidated() throws -> RagModel {
        func url(_ path: String) -> URL { URL(fileURLWithPath: path) }
        var configuration =
            try configNameOrPath.map {
                try RagConfiguration(
                    json: JSONValue(contentsOf: url($0).appendingPathComponent("config.json")))
            } ?? RagConfiguration()
        configuration.marginalization = modelType.marginalization
        let model = try RagModel(
            questionEncoder: url(questionEncoderNameOrPath), generator: url(generatorNameOrPath),
            questionTokenizer: questionEncoderTokenizerNameOrPath.map(url),
            generatorTokenizer: generatorTokenizerNameOrPath.map(url),
            configuration: configuration)
        if let contextEncoderNameOrPath {
            try model.loadContextEncoder(
                from: url(contextEncoderNameOrPath),
                tokenizer: contextEncoderTokenizerNameOrPath.map(url))
        }
        return model
    }

    private func report(_ model: RagModel, source: ContextTokenizerSource?) {
        let parts = [
            ("question_encoder", model.questionEncoder.parameterCount),
            ("generator", model.generator.parameterCount),
            ("context_encoder", model.contextEncoder?.parameterCount ?? 0),
        ]
        let tokenizer =
            switch source {
            case .directory(let path): path
            case .questionTokenizer: "that of the question encoder"
            case nil: ""
            }
        guard !json else {
            var result: JSONValue = [
                "dest": .string(dest), "model_type": .string(modelType.rawValue),
            ]
            for (part, count) in parts { result["\(part)_parameters"] = .int(count) }
            result["context_tokenizer"] = source == nil ? nil : .string(tokenizer)
            return print(result.text())
        }
        for (part, count) in parts where count > 0 {
            print("\(part.replacing("_", with: " ")): \(count) parameters")
        }
        if source != nil { print("tokenizer of the context encoder: \(tokenizer)") }
        print("written to \(dest)")
    }
}
