import Foundation
import Testing

@testable import RAGKit

/// Stands in for a generator's tokenizer that cannot be read yet: it knows the ids of the texts
/// that a golden folder names, and of no others.
///
/// It goes, with `Golden.withText`, when the tokenizers of all folders are read.
struct RecordedTokenizer: Tokenizer {
    let ids: [String: [Int32]]
    let files: URL
    let vocabularySize: Int
    let specialTokens = SpecialTokens()
    let modelMaxLength: Int? = nil
    let fingerprint = "recorded"

    func ids(of text: String) -> [Int32] { [] }

    func encode(_ text: String, pair: String?, maxLength: Int?) -> Encoding {
        let found = ids[text] ?? []
        return Encoding(ids: found, typeIDs: found.map { _ in 0 })
    }

    func decode(_ ids: [Int32], skippingSpecialTokens: Bool, cleaningUp: Bool?) -> String { "" }

    func save(to directory: URL) throws {
        try FileManager.default.copyItem(at: files, to: directory)
    }
}

extension Golden {
    /// The folders whose generator's tokenizer can be read.
    static let withText = all.filter { (try? loadTokenizer(from: $0.generatorTokenizer)) != nil }

    private var generatorTokenizer: URL {
        folder.appendingPathComponent("rag/generator_tokenizer")
    }

    /// The checkpoint, if need be with a tokenizer that knows what `expected.json` has.
    func checkpoint() throws -> RagModel {
        let rag = folder.appendingPathComponent("rag")
        guard (try? loadTokenizer(from: generatorTokenizer)) == nil else {
            return try RagModel(contentsOf: rag)
        }
        let json = try configurationFile(in: rag)
        let encoder = try #require(json["question_encoder"])
        let weights = try ModelWeights(directory: rag)
        var t5 = try T5Configuration(json: #require(json["generator"]))
        t5.sharesUnscaledHead =
            !t5.tieWordEmbeddings && weights.shape("rag.generator.lm_head.weight") == nil
        let generator = T5Generator(configuration: t5)
        let words = try loadTokenizer(
            from: rag.appendingPathComponent("question_encoder_tokenizer"))
        let configuration = try RagConfiguration(json: json)
        let model = try RagModel(
            questionEncoder: DPREncoder(
                configuration: DPRConfiguration(role: .question, json: encoder)),
            questionTokenizer: words, generator: generator,
            generatorTokenizer: RecordedTokenizer(
                ids: recordedIDs(words, configuration), files: generatorTokenizer,
                vocabularySize: generator.vocabularySize),
            configuration: configuration)
        try model.load(weights)
        try model.loadGeneration(from: rag)
        return model
    }

    private func recordedIDs(
        _ words: any Tokenizer, _ settings: RagConfiguration
    ) throws -> [String: [Int32]] {
        let targets = try targets.sequences
        var ids = Dictionary(try zip(strings("answers"), targets).map { ($0, $1) }) { $1 }
        var contexts = try Self.ids(section(.token)["context_input_ids"])[...]
        let found = try Self.ids(section(.token)["doc_ids"])
        for (question, documents) in try zip(Self.ids(expected["question_input_ids"]), found) {
            for document in documents {
                let passage = try passages[Int(document)]
                let title = passage.title.trimmingPrefix("\"")  // as contexts have it
                let text =
                    title + settings.titleSep + passage.text + settings.docSep
                    + words.decode(question)
                ids[text.replacing("  ", with: " ")] = contexts.removeFirst()
            }
        }
        return ids
    }
}
