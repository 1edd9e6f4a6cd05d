import Foundation
import Testing

@testable import RAGKit

/// Saving to a disk that fails, and loading by kind.
@Suite struct TokenizerSavingTests {
    private static let kinds = ["wordpiece-uncased", "bpe-bart", "unigram", "unigram-json-bytes"]

    private func contents(_ folder: URL) throws -> [String: Data] {
        var files: [String: Data] = [:]
        for name in try FileManager.default.contentsOfDirectory(atPath: folder.path) {
            files[name] = try Data(contentsOf: folder.appendingPathComponent(name))
        }
        return files
    }

    /// Each file is the old one or the new one, whichever call fails.
    @Test(arguments: kinds, [false, true])
    func everyFileIsOldOrNewWhereverTheDiskFails(name: String, forGood: Bool) throws {
        let tokenizer = try AutoTokenizer.load(
            contentsOf: TokenizerFixtures.own.appendingPathComponent(name))
        let folder = try TemporaryDirectory()
        let url = folder.file("new/folder")
        try tokenizer.save(to: url)
        let new = try contents(url)
        for number in 0..<100 {
            for file in new.keys { try folder.write("old".utf8, to: "new/folder/\(file)") }
            let (failed, error) = withFailingDisk(at: number, forGood: forGood) {
                try tokenizer.save(to: url)
            }
            let found = try contents(url)
            if !failed {
                #expect(found == new && error == nil)
                #expect(number > 3 * new.count)
                return
            }
            guard case .cannotWrite = error as? TokenizerError else {
                Issue.record("call \(number): \(String(describing: error))")
                continue
            }
            for (file, bytes) in new {
                #expect(found[file] == bytes || found[file] == Data("old".utf8), "call \(number)")
            }
            if !forGood { #expect(found.count == new.count, "call \(number)") }
            // Temporary files of a process that lives are left alone: remove them for the next round.
            for file in found.keys where new[file] == nil {
                try FileManager.default.removeItem(at: url.appendingPathComponent(file))
            }
        }
        Issue.record("the disk never worked")
    }

    @Test func noFolderIsMadeOnABrokenDisk() throws {
        let tokenizer = try WordPieceTokenizer(vocabulary: ["[UNK]", "[CLS]", "[SEP]"])
        let folder = try TemporaryDirectory()
        let (failed, error) = withFailingDisk(at: 0, forGood: true) {
            try tokenizer.save(to: folder.file("new"))
        }
        #expect(failed && error is TokenizerError)
        #expect(try folder.names().isEmpty)
    }

    @Test func savedConfigurationsAreReadBack() throws {
        try TokenizerFixtures.withDirectory { directory in
            let tokenizer = try WordPieceTokenizer(
                vocabulary: ["[UNK]", "[CLS]", "[SEP]", "a"], modelMaxLength: 512)
            try tokenizer.save(to: directory)
            let json = try JSONValue(
                contentsOf: directory.appendingPathComponent("tokenizer_config.json"))
            #expect(try json.int("model_max_length") == 512)
            #expect(try json.string("unk_token") == "[UNK]" && json.string("bos_token") == nil)
            #expect(json.objectValue?.keys == json.objectValue?.keys.sorted())
            let entry: JSONValue = [
                "content": "[CLS]", "lstrip": false, "normalized": false, "rstrip": false,
                "single_word": false, "special": true,
            ]
            #expect(try json.object("added_tokens_decoder")?["1"] == entry)
            let map: JSONValue = ["unk_token": "[UNK]", "cls_token": "[CLS]", "sep_token": "[SEP]"]
            let file = directory.appendingPathComponent("special_tokens_map.json")
            #expect(try JSONValue(contentsOf: file) == map)
        }
    }

    /// Swift holds the two spellings of é for equal; a vocabulary keeps both.
    @Test func equivalentTokensAreWrittenApart() {
        let entries: [(token: String, id: Int32)] = [
            ("\u{E9}", 0), ("e\u{301}", 1), ("\"\\", 2), ("\u{1}", 3),
        ]
        let text = VocabularyJSON.text(entries)
        #expect(
            Array(text.utf8)
                == Array("{\"\u{E9}\": 0, \"e\u{301}\": 1, \"\\\"\\\\\": 2, \"\\u0001\": 3}\n".utf8)
        )
    }

    @Test func aKindThatIsKnown() throws {
        let own = TokenizerFixtures.own
        let bert = own.appendingPathComponent("wordpiece-uncased")
        let bart = own.appendingPathComponent("bpe-bart")
        let unigram = own.appendingPathComponent("unigram")
        #expect(try WordPieceTokenizer(contentsOf: bert).lowercase)
        #expect(try ByteLevelBPETokenizer(contentsOf: bart).style == .bart)
        #expect(try UnigramTokenizer(contentsOf: unigram).prefixSpace == .always)
        #expect {
            try WordPieceTokenizer(contentsOf: bart)
        } throws: { "\($0)".contains("holds a ByteLevelBPETokenizer, not a WordPieceTokenizer") }
    }

    @Test(arguments: ["vocab.txt", "vocab.json", "tokenizer.json", "spiece.model"])
    func aFolderWithAVocabularyHoldsATokenizer(name: String) throws {
        let folder = try TemporaryDirectory()
        try folder.write("{}".utf8, to: "tokenizer_config.json")
        #expect(!TokenizerFiles.exist(in: folder.url))
        try folder.write("x".utf8, to: name)
        #expect(TokenizerFiles.exist(in: folder.url))
    }
}
