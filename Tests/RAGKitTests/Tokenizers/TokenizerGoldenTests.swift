import Foundation
import Testing

@testable import RAGKit

/// The golden values of whole models, and the real vocabularies.
@Suite(
    .tags(.golden),
    .enabled(
        if: ExtraFiles.has("bart/expected.json", in: ExtraFiles.golden)
            && ExtraFiles.has("gpt2/vocab.json", in: ExtraFiles.vocabularies)))
struct TokenizerGoldenTests {
    struct Expected: Decodable {
        struct Text: Decodable {
            var text: String
            var wordpiece: [Int32]
            var wordpieceDecoded: String
            var generator: [Int32]
            var generatorDecoded: String
        }
        struct Documents: Decodable {
            var docIds: [[Int]]
            var contextInputIds: [[Int32]]  // question-major
        }
        var tokenize: [Text]
        var questions: [String]
        var answers: [String]
        var questionInputIds: [[Int32]]
        var targetInputIds: [[Int32]]
        var kbInputIds: [[Int32]]
        var ragToken: Documents
    }

    private let golden: URL
    private let vocabularies: URL

    init() throws {
        golden = try #require(ExtraFiles.golden)
        vocabularies = try #require(ExtraFiles.vocabularies)
    }

    private func passages(_ folder: URL) throws -> [(title: String, text: String)] {
        try String(contentsOf: folder.appendingPathComponent("kb.tsv"), encoding: .utf8)
            .split(separator: "\n").map { line in
                let fields = line.split(separator: "\t", maxSplits: 1).map(String.init)
                return (fields[0], fields[1])
            }
    }

    @Test(arguments: ["bart", "t5"]) func encodersOfAModel(name: String) throws {
        let folder = golden.appendingPathComponent(name)
        let expected = try TokenizerFixtures.json(
            folder.appendingPathComponent("expected.json"), as: Expected.self)
        let question = try AutoTokenizer.load(
            contentsOf: folder.appendingPathComponent("question_encoder_tokenizer"))
        let context = try AutoTokenizer.load(
            contentsOf: folder.appendingPathComponent("rag/question_encoder_tokenizer"))
        #expect(question.fingerprint == context.fingerprint)
        #expect(expected.tokenize.count == 40)
        for text in expected.tokenize {
            #expect(question.encode(text.text).ids == text.wordpiece, "\(text.text)")
            #expect(question.decode(text.wordpiece) == text.wordpieceDecoded)
        }
        for (text, ids) in zip(expected.questions, expected.questionInputIds) {
            #expect(question.encode(text, maxLength: 64).ids == ids)
        }
        let passages = try passages(folder)
        #expect(passages.count == expected.kbInputIds.count)
        let contextEncoder = try AutoTokenizer.load(
            contentsOf: folder.appendingPathComponent("ctx_encoder_tokenizer"))
        for (passage, ids) in zip(passages, expected.kbInputIds) {
            let found = contextEncoder.encode(passage.title, pair: passage.text, maxLength: 128)
            #expect(found.ids == ids)
        }
    }

    @Test(arguments: ["bart", "t5"]) func generatorOfAModel(name: String) throws {
        let folder = golden.appendingPathComponent(name)
        let expected = try TokenizerFixtures.json(
            folder.appendingPathComponent("expected.json"), as: Expected.self)
        let generator = try AutoTokenizer.load(
            contentsOf: folder.appendingPathComponent("generator_tokenizer"))
        let question = try AutoTokenizer.load(
            contentsOf: folder.appendingPathComponent("question_encoder_tokenizer"))
        for text in expected.tokenize {
            #expect(generator.encode(text.text).ids == text.generator, "\(text.text)")
            // The golden text of T5 is the slow tokenizer's, which strips it.
            let decoded = generator.decode(text.generator)
            #expect(
                (name == "t5" ? decoded.trimmingCharacters(in: .whitespaces) : decoded)
                    == text.generatorDecoded)
        }
        for (text, ids) in zip(expected.answers, expected.targetInputIds) {
            #expect(generator.encode(text, maxLength: 25).ids == ids)
        }
        // Contexts, made as the reference makes them from the decoded question.
        struct Configuration: Decodable {
            var titleSep: String
            var docSep: String
            var maxCombinedLength: Int
        }
        let configuration = try TokenizerFixtures.json(
            folder.appendingPathComponent("rag/config.json"), as: Configuration.self)
        let passages = try passages(folder)
        var contexts = expected.ragToken.contextInputIds[...]
        for (row, ids) in expected.questionInputIds.enumerated() {
            let asked = question.decode(ids)
            for document in expected.ragToken.docIds[row] {
                let passage = passages[document]
                var title = Substring(passage.title)
                if title.hasPrefix("\"") { title = title.dropFirst() }
                if title.hasSuffix("\"") { title = title.dropLast() }
                let parts = [
                    String(title), configuration.titleSep, passage.text, configuration.docSep,
                    asked,
                ]
                let text = parts.joined().replacingOccurrences(of: "  ", with: " ")
                let found = generator.encode(text, maxLength: configuration.maxCombinedLength)
                #expect(found.ids == contexts.popFirst())
            }
        }
        #expect(contexts.isEmpty)
    }

    @Test func publicVocabularies() throws {
        let bert = try AutoTokenizer.load(
            contentsOf: vocabularies.appendingPathComponent("bert-base-uncased"))
        #expect(
            bert.encode("Hello, my dog is cute").ids
                == [101, 7592, 1010, 2026, 3899, 2003, 10140, 102])
        #expect(bert.vocabularySize == 30522)
        #expect(bert.specialTokens.mask == 103 && bert.specialTokens.pad == 0)
        let bart = try AutoTokenizer.load(
            contentsOf: vocabularies.appendingPathComponent("bart-base"))
        #expect(
            bart.encode("Hello, my dog is cute").ids == [0, 31414, 6, 127, 2335, 16, 11962, 2])
        #expect(
            bart.encode("A long paragraph for summarization.").ids
                == [0, 250, 251, 17818, 13, 39186, 1938, 4, 2])
        #expect(bart.specialTokens.mask == 50264 && bart.vocabularySize == 50265)
        let gpt2 = try AutoTokenizer.load(contentsOf: vocabularies.appendingPathComponent("gpt2"))
        #expect(gpt2.encode("Hello world").ids == [15496, 995])
        #expect(gpt2.specialTokens.eos == 50256 && gpt2.specialTokens.unk == 50256)
        #expect(gpt2.vocabularySize == 50257)
        #expect(Set([bert, bart, gpt2].map(\.fingerprint)).count == 3)
    }

    /// `tokenizer.json` and the vocabulary files beside it are one tokenizer.
    @Test(arguments: ["bert-base-uncased", "bart-base", "gpt2"])
    func bothFormsAreOneTokenizer(name: String) throws {
        let json = try AutoTokenizer.load(contentsOf: vocabularies.appendingPathComponent(name))
        let files = try vocabularyFilesAlone(name)
        // Where nothing is normalised, the files differ in whether special tokens are.
        if name == "bert-base-uncased" { #expect(json.fingerprint == files.fingerprint) }
        #expect(json.specialTokens == files.specialTokens)
        #expect(json.vocabularySize == files.vocabularySize)
    }

    @Test func theT5Vocabulary() throws {
        let json = try AutoTokenizer.load(
            contentsOf: vocabularies.appendingPathComponent("t5-small"))
        let files = try vocabularyFilesAlone("t5-small")
        for tokenizer in [json, files] {
            #expect(
                tokenizer.encode("translate English to German: The house is wonderful.").ids
                    == [13959, 1566, 12, 2968, 10, 37, 629, 19, 1627, 5, 1])
            #expect(tokenizer.vocabularySize == 32100)
            #expect(tokenizer.specialTokens.pad == 0 && tokenizer.specialTokens.eos == 1)
            #expect(tokenizer.specialTokens.unk == 2)
            #expect(tokenizer.ids(of: "<extra_id_0><extra_id_99>") == [32099, 32000])
        }
    }

    /// The tokenizer of a folder without its `tokenizer.json`.
    private func vocabularyFilesAlone(_ name: String) throws -> any Tokenizer {
        try TokenizerFixtures.withDirectory { directory in
            for file in ["vocab.txt", "vocab.json", "merges.txt", "spiece.model"] {
                let source = vocabularies.appendingPathComponent("\(name)/\(file)")
                guard FileManager.default.fileExists(atPath: source.path) else { continue }
                try FileManager.default.copyItem(
                    at: source, to: directory.appendingPathComponent(file))
            }
            return try AutoTokenizer.load(contentsOf: directory)
        }
    }
}
