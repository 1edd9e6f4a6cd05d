import Foundation
import Testing

@testable import RAGKit

/// Files that are missing, broken or beyond what is supported.
@Suite(.tags(.files)) struct TokenizerFileTests {
    private let vocab = "[PAD]\n[UNK]\n[CLS]\n[SEP]\n[MASK]\na\n##b\n"
    private let bpe = #"{"<s>": 0, "</s>": 1, "a": 2, "b": 3, "ab": 4}"#

    struct Bad: Sendable, CustomTestStringConvertible {
        var name: String
        var files: [String: String]
        /// What the error must say, the file and the line among it.
        var says: [String]
        var testDescription: String { name }
    }

    static let head = "[PAD]\n[UNK]\n[CLS]\n[SEP]\n[MASK]\n"
    static let good = #"{"<s>": 0, "</s>": 1, "a": 2, "b": 3, "ab": 4}"#
    static let bad: [Bad] = [
        Bad(name: "nothing", files: [:], says: ["no tokenizer found", "vocab.txt"]),
        Bad(name: "no merges", files: ["vocab.json": good], says: ["merges.txt"]),
        Bad(
            name: "empty vocab.txt", files: ["vocab.txt": ""],
            says: ["vocab.txt, line 1", "empty"]),
        Bad(
            name: "token twice", files: ["vocab.txt": head + "a\nb\na\n"],
            says: ["vocab.txt, line 8", "'a'", "line 6"]),
        Bad(
            name: "no [UNK]", files: ["vocab.txt": "[PAD]\n[CLS]\n[SEP]\na\n"],
            says: ["vocab.txt", "[UNK]", "unk_token"]),
        Bad(
            name: "no [CLS]", files: ["vocab.txt": "[PAD]\n[UNK]\n[SEP]\na\n"],
            says: ["vocab.txt", "[CLS]"]),
        Bad(
            name: "empty vocab.json", files: ["vocab.json": "{}", "merges.txt": ""],
            says: ["vocab.json, line 1", "empty"]),
        Bad(
            name: "not an object", files: ["vocab.json": "[1]", "merges.txt": ""],
            says: ["vocab.json, line 1", "object"]),
        Bad(
            name: "id twice",
            files: ["vocab.json": "{\"<s>\": 0,\n\"</s>\": 1,\n\"a\": 1}", "merges.txt": ""],
            says: ["vocab.json, line 3", "id 1", "'</s>'"]),
        Bad(
            name: "key twice",
            files: ["vocab.json": "{\"<s>\": 0,\n\"</s>\": 1,\n\"<s>\": 2}", "merges.txt": ""],
            says: ["vocab.json, line 3", "'<s>'", "line 1"]),
        Bad(
            name: "id no number", files: ["vocab.json": #"{"<s>": "0"}"#, "merges.txt": ""],
            says: ["vocab.json, line 1", "whole number"]),
        Bad(
            name: "negative id", files: ["vocab.json": #"{"<s>": -1}"#, "merges.txt": ""],
            says: ["vocab.json, line 1", "whole number"]),
        Bad(
            name: "fraction", files: ["vocab.json": #"{"<s>": 1.5}"#, "merges.txt": ""],
            says: ["vocab.json, line 1", "whole number"]),
        Bad(
            name: "enormous id",
            files: ["vocab.json": #"{"<s>": 99999999999999999999}"#, "merges.txt": ""],
            says: ["vocab.json, line 1", "whole number"]),
        Bad(
            name: "id above the tables",
            files: ["vocab.json": #"{"<s>": 2097153}"#, "merges.txt": ""],
            says: ["vocab.json, line 1", "from 0 to 2097152"]),
        Bad(
            name: "cut off", files: ["vocab.json": "{\"<s>\": 0,\n\"ab", "merges.txt": ""],
            says: ["vocab.json, line 2", "without end"]),
        Bad(
            name: "half a surrogate", files: ["vocab.json": #"{"\ud83d": 0}"#, "merges.txt": ""],
            says: ["vocab.json, line 1", "surrogate"]),
        Bad(
            name: "bad escape", files: ["vocab.json": #"{"\x": 0}"#, "merges.txt": ""],
            says: ["vocab.json, line 1", "escape"]),
        Bad(
            name: "more behind", files: ["vocab.json": good + "\n}", "merges.txt": ""],
            says: ["vocab.json, line 2", "expected the end"]),
        Bad(
            name: "merge of one",
            files: ["vocab.json": good, "merges.txt": "#version: 0.2\na b\nab\n"],
            says: ["merges.txt, line 3", "two tokens", "'ab'"]),
        Bad(
            name: "merge of three",
            files: ["vocab.json": good, "merges.txt": "#version: 0.2\na b a\n"],
            says: ["merges.txt, line 2", "two tokens"]),
        Bad(
            name: "unknown part",
            files: ["vocab.json": good, "merges.txt": "#version: 0.2\na b\na c\n"],
            says: ["merges.txt, line 3", "'c'"]),
        Bad(
            name: "unknown result",
            files: ["vocab.json": good, "merges.txt": "#version: 0.2\n\nb a\n"],
            says: ["merges.txt, line 3", "'ba'"]),
        Bad(
            name: "no </s>", files: ["vocab.json": #"{"<s>": 0, "a": 1}"#, "merges.txt": ""],
            says: ["vocab.json", "</s>"]),
        Bad(
            name: "config no JSON", files: ["vocab.txt": head, "tokenizer_config.json": "{"],
            says: ["tokenizer_config.json", "not JSON"]),
        Bad(
            name: "config type",
            files: ["vocab.txt": head, "tokenizer_config.json": #"{"do_lower_case": "yes"}"#],
            says: ["tokenizer_config.json", "do_lower_case"]),
        Bad(
            name: "class",
            files: [
                "vocab.txt": head,
                "tokenizer_config.json": #"{"tokenizer_class": "BertJapaneseTokenizer"}"#,
            ],
            says: ["vocab.txt", "BertJapaneseTokenizer", "BertTokenizer"]),
        Bad(
            name: "named token",
            files: ["vocab.txt": head, "tokenizer_config.json": #"{"pad_token": "<nix>"}"#],
            says: ["vocab.txt", "<nix>", "pad_token"]),
        Bad(
            name: "added id taken",
            files: [
                "vocab.txt": head,
                "tokenizer_config.json": #"{"added_tokens_decoder": {"1": {"content": "new"}}}"#,
            ],
            says: ["'new'", "belongs to another token"]),
        Bad(
            name: "added id wrong",
            files: [
                "vocab.txt": head,
                "tokenizer_config.json": #"{"added_tokens_decoder": {"7": {"content": "[PAD]"}}}"#,
            ],
            says: ["'[PAD]'", "7", "0"]),
        Bad(
            name: "added id no number",
            files: [
                "vocab.txt": head,
                "tokenizer_config.json": #"{"added_tokens_decoder": {"x": {"content": "new"}}}"#,
            ],
            says: ["'x' is no id"]),
        Bad(name: "spiece.model", files: ["spiece.model": "x"], says: ["spiece.model, byte 1"]),
        Bad(
            name: "tokenizer.json", files: ["tokenizer.json": "{}"],
            says: ["tokenizer.json", "no model"]),
        Bad(
            name: "special tokens split",
            files: [
                "vocab.txt": head,
                "tokenizer_config.json": #"{"split_special_tokens": true}"#,
            ],
            says: ["tokenizer_config.json", "split_special_tokens"]),
        Bad(
            name: "cut on the left",
            files: ["vocab.txt": head, "tokenizer_config.json": #"{"truncation_side": "left"}"#],
            says: ["truncation_side", "left"]),
        Bad(
            name: "one id for two added tokens",
            files: [
                "vocab.txt": head, "added_tokens.json": #"{"new": 5, "newer": 5}"#,
            ],
            says: ["added_tokens.json", "5"]),
    ]

    @Test(arguments: bad) func aBadDirectorySaysWhatIsWrong(bad: Bad) throws {
        do {
            _ = try TokenizerFixtures.load(bad.files)
            Issue.record("\(bad.name) was loaded")
        } catch let error as TokenizerError {
            for part in bad.says { #expect("\(error)".contains(part), "\(error)") }
        }
    }

    @Test(arguments: [("vocab.txt", 6), ("merges.txt", 3), ("vocab.json", 2)])
    func textThatIsNotUTF8(name: String, line: Int) throws {
        try TokenizerFixtures.withDirectory { directory in
            let files: [String: [UInt8]] =
                name == "vocab.txt"
                ? ["vocab.txt": Array(Self.head.utf8) + [0x61, 0xFF, 0x0A]]
                : [
                    "vocab.json": name == "vocab.json"
                        ? Array("{\"<s>\": 0,\n\"".utf8) + [0xC3, 0x28] + Array("\": 1}".utf8)
                        : Array(bpe.utf8),
                    "merges.txt": Array("#version: 0.2\na b\n".utf8) + [0xFF, 0x20, 0x61, 0x0A],
                ]
            for (name, bytes) in files {
                try Data(bytes).write(to: directory.appendingPathComponent(name))
            }
            #expect {
                try AutoTokenizer.load(contentsOf: directory)
            } throws: { "\($0)".contains("\(name), line \(line)") && "\($0)".contains("UTF-8") }
        }
    }

    /// A vocabulary that breaks off anywhere is an error or a shorter vocabulary, never a crash.
    @Test func everyBeginningOfAVocabulary() throws {
        let bytes = Array(bpe.utf8)
        for count in 0..<bytes.count {
            let text = String(decoding: bytes[..<count], as: UTF8.self)
            #expect(throws: TokenizerError.self) {
                try TokenizerFixtures.load(["vocab.json": text, "merges.txt": ""])
            }
        }
    }

    @Test func lineEndsOfAnySystem() throws {
        let unix = try TokenizerFixtures.load(["vocab.txt": vocab])
        let windows = try TokenizerFixtures.load(
            ["vocab.txt": vocab.replacingOccurrences(of: "\n", with: "\r\n")])
        #expect(unix.fingerprint == windows.fingerprint)
        #expect(windows.ids(of: "ab [MASK]") == [5, 6, 4])
        let endless = try TokenizerFixtures.load(["vocab.txt": String(vocab.dropLast())])
        #expect(endless.fingerprint == unix.fingerprint)
        let merged = try TokenizerFixtures.load(
            ["vocab.json": bpe, "merges.txt": "#version: 0.2\r\na b\r\n"])
        #expect(merged.ids(of: "ab") == [4])
    }

    @Test func gapsInTheIDsAreKept() throws {
        let tokenizer = try TokenizerFixtures.load(
            ["vocab.json": #"{"<s>": 0, "</s>": 1, "a": 5}"#, "merges.txt": ""])
        #expect(tokenizer.vocabularySize == 6)
        #expect(tokenizer.decode([3, 5]) == "a")
        try TokenizerFixtures.withDirectory { directory in
            try tokenizer.save(to: directory)
            #expect(
                try AutoTokenizer.load(contentsOf: directory).fingerprint == tokenizer.fingerprint)
        }
    }

    @Test func settingsOfTheConfiguration() throws {
        let files = [
            "vocab.txt": Self.head + "A\nÀ\na\nà\n",
            "special_tokens_map.json": #"{"mask_token": {"content": "[MASK]", "lstrip": true}}"#,
        ]
        func load(_ configuration: String) throws -> any Tokenizer {
            try TokenizerFixtures.load(
                files.merging(["tokenizer_config.json": configuration]) { $1 })
        }
        #expect(try load("{}").ids(of: "À") == [7])
        #expect(try load(#"{"do_lower_case": false}"#).ids(of: "À") == [6])
        #expect(try load(#"{"strip_accents": false}"#).ids(of: "À") == [8])
        #expect(try load(#"{"do_lower_case": false, "strip_accents": true}"#).ids(of: "À") == [5])
        #expect(try load(#"{"model_max_length": 12}"#).modelMaxLength == 12)
        #expect(try load(#"{"model_max_length": 1e30}"#).modelMaxLength == nil)
        #expect(try load(#"{"tokenizer_class": "BertTokenizerFast"}"#).ids(of: "a") == [7])
        let cleaning = try load(#"{"clean_up_tokenization_spaces": true, "unk_token": "A"}"#)
        #expect(cleaning.specialTokens.unk == 5)
        #expect(cleaning.specialTokens.allIDs == [0, 2, 3, 4, 5])
    }

    /// Where older versions of the reference wrote added tokens: normalised unless special.
    @Test func addedTokensInAFileOfTheirOwn() throws {
        let files = [
            "vocab.txt": vocab, "added_tokens.json": #"{"New": 7, "[X]": 8}"#,
            "special_tokens_map.json": #"{"additional_special_tokens": ["[X]"]}"#,
        ]
        let tokenizer = try TokenizerFixtures.load(files)
        #expect(tokenizer.vocabularySize == 9)
        #expect(tokenizer.ids(of: "a NEW [X] [x]") == [5, 7, 8, 1, 1, 1])
        #expect(tokenizer.specialTokens.allIDs.contains(8))
        #expect(!tokenizer.specialTokens.allIDs.contains(7))
    }

    @Test func aBosTokenIfAsked() throws {
        let tokenizer = try TokenizerFixtures.load([
            "vocab.json": #"{"<|endoftext|>": 0, "a": 1}"#, "merges.txt": "",
            "tokenizer_config.json":
                #"{"tokenizer_class": "GPT2Tokenizer", "add_bos_token": true}"#,
        ])
        #expect(tokenizer.encode("aa").ids == [0, 1, 1])
        #expect(tokenizer.encode("a", pair: "a").ids == [0, 1, 1])
    }

    @Test func savingWhereNothingCanBeWritten() throws {
        let tokenizer = try TokenizerFixtures.load(["vocab.txt": vocab])
        try TokenizerFixtures.withDirectory { directory in
            let file = directory.appendingPathComponent("file")
            try Data().write(to: file)
            #expect {
                try tokenizer.save(to: file.appendingPathComponent("inside"))
            } throws: { error in
                guard case .cannotWrite(let path, _) = error as? TokenizerError else {
                    return false
                }
                return path.contains("inside")
            }
        }
    }

    @Test func cleaningUpInOrder() {
        func cleaned(_ text: String) -> String {
            var bytes = Array(text.utf8)
            DecodingCleanup.clean(&bytes)
            return String(decoding: bytes, as: UTF8.self)
        }
        #expect(cleaned("a . b ? c ! d , e") == "a. b? c! d, e")
        #expect(cleaned("do n't i 'm it 's we 've they 're") == "don't i'm it's we've they're")
        #expect(cleaned("don ' t") == "don't")
        #expect(cleaned(" . . ") == ".. ")
        #expect(cleaned("do not") == "do not")
        #expect(cleaned("") == "")
    }
}
