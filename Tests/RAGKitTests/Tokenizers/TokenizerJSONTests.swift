import Foundation
import Testing

@testable import RAGKit

/// `tokenizer.json` files that are wrong, or ask for what is not known: each is refused by name.
@Suite(.tags(.files)) struct TokenizerJSONTests {
    private static let bert = """
        {"version": "1.0", "truncation": null, "padding": null, "added_tokens": [],
        "normalizer": {"type": "BertNormalizer", "clean_text": true, "handle_chinese_chars": true,
        "strip_accents": null, "lowercase": true}, "pre_tokenizer": {"type": "BertPreTokenizer"},
        "post_processor": {"type": "BertProcessing", "sep": ["[SEP]", 2], "cls": ["[CLS]", 1]},
        "decoder": {"type": "WordPiece", "prefix": "##", "cleanup": true},
        "model": {"type": "WordPiece", "unk_token": "[UNK]", "continuing_subword_prefix": "##",
        "max_input_chars_per_word": 100, "vocab": {"[UNK]": 0, "[CLS]": 1, "[SEP]": 2, "a": 3}}}
        """
    private static let bpe = """
        {"version": "1.0", "added_tokens": [], "normalizer": null,
        "pre_tokenizer": {"type": "ByteLevel", "add_prefix_space": false, "trim_offsets": true},
        "post_processor": {"type": "ByteLevel", "add_prefix_space": true, "trim_offsets": false},
        "decoder": {"type": "ByteLevel", "add_prefix_space": true, "trim_offsets": true},
        "model": {"type": "BPE", "dropout": null, "unk_token": null, "fuse_unk": false,
        "vocab": {"a": 0, "b": 1, "ab": 2, "<|endoftext|>": 3}, "merges": ["a b"]}}
        """
    private static let unigram = """
        {"version": "1.0", "added_tokens": [], "normalizer": null,
        "pre_tokenizer": {"type": "Metaspace", "replacement": "▁", "prepend_scheme": "always"},
        "post_processor": {"type": "TemplateProcessing",
        "single": [{"Sequence": {"id": "A", "type_id": 0}}, {"SpecialToken": {"id": "</s>",
        "type_id": 0}}], "pair": [{"Sequence": {"id": "A", "type_id": 0}}, {"SpecialToken": {"id":
        "</s>", "type_id": 0}}, {"Sequence": {"id": "B", "type_id": 0}}, {"SpecialToken": {"id":
        "</s>", "type_id": 0}}], "special_tokens": {"</s>": {"id": "</s>", "ids": [1], "tokens":
        ["</s>"]}}},
        "decoder": {"type": "Metaspace", "replacement": "▁", "prepend_scheme": "always"},
        "model": {"type": "Unigram", "unk_id": 2, "vocab": [["<pad>", 0], ["</s>", 0],
        ["<unk>", 0], ["▁a", -1.5]]}}
        """
    private static let added =
        #""single_word": false, "lstrip": false, "rstrip": false, "normalized": false, "special": true"#

    struct Bad: Sendable, CustomTestStringConvertible {
        var kind: String
        /// What is replaced in a good file, and by what.
        var change: (from: String, to: String)
        var says: String

        init(_ kind: String, _ from: String, _ to: String, says: String) {
            (self.kind, change, self.says) = (kind, (from, to), says)
        }

        var testDescription: String { "\(kind): \(change.to)" }
    }

    static let bad: [Bad] = [
        // The panics of the reference (huggingface/tokenizers issues 2094 and 2151) and their kin.
        Bad("bpe", #"["a b"]"#, #"["ab ab"]"#, says: "'abab', which the vocabulary lacks"),
        Bad("bpe", #"["a b"]"#, #"[["a", "x"]]"#, says: "'x', which the vocabulary lacks"),
        Bad("bpe", #"["a b"]"#, #"["a  b"]"#, says: "two tokens with one space"),
        Bad("bpe", #"["a b"]"#, #"[["a", "b", "b"]]"#, says: "line 6: expected ']'"),
        Bad("bpe", #""ab": 2"#, #""ab": 1"#, says: "the id 1 of 'ab' already belongs to 'b'"),
        Bad("bpe", #""ab": 2"#, #""a": 2"#, says: "'a' is already on line"),
        Bad("bpe", #""ab": 2"#, #""ab": -2"#, says: "whole number from 0"),
        Bad("bpe", #""ab": 2"#, #""ab": 4294967297"#, says: "whole number from 0"),
        Bad("bpe", #"{"a": 0, "b": 1, "ab": 2, "<|endoftext|>": 3}"#, "{}", says: "is empty"),
        Bad(
            "bert", #"{"[UNK]": 0, "[CLS]": 1, "[SEP]": 2, "a": 3}"#, "{}", says: "is empty"),
        Bad(
            "unigram",
            "[[\"<pad>\", 0], [\"</s>\", 0],\n[\"<unk>\", 0], [\"▁a\", -1.5]]", "[]",
            says: "is empty"),
        Bad(
            "bpe", #""fuse_unk""#, #""continuing_subword_prefix": "long", "fuse_unk""#,
            says: "model of type BPE: 'continuing_subword_prefix'"),
        Bad("bpe", #""dropout": null"#, #""dropout": 0.5"#, says: "'dropout' is 0.5"),
        Bad("bpe", #""dropout": null"#, #""ignore_merges": true"#, says: "'ignore_merges'"),
        Bad("bpe", #""unk_token": null"#, #""unk_token": "a""#, says: "unk_token"),
        Bad("bpe", #", "merges": ["a b"]"#, "", says: "merges are missing"),
        Bad(
            "bpe", #"{"type": "ByteLevel", "add_prefix_space": false, "trim_offsets": true}"#,
            #"{"type": "Whitespace"}"#, says: "pre_tokenizer of type Whitespace"),
        Bad(
            "bpe", #""normalizer": null"#, #""normalizer": {"type": "NFKC"}"#,
            says: "normalizer of type NFKC"),
        Bad("bert", #"["[SEP]", 2]"#, #"["[SEP]", 4]"#, says: "the id 4 of 'sep' is outside"),
        Bad("bert", #"["[SEP]", 2]"#, #"["[SEP]"]"#, says: "'sep' must be a token and its id"),
        Bad("bert", #"["[SEP]", 2]"#, #"["[SEP]", 3]"#, says: "other tokens around texts"),
        Bad("bert", #""[UNK]", "continuing"#, #""[X]", "continuing"#, says: "'[X]'"),
        Bad(
            "bert", #""clean_text": true"#, #""clean_text": false"#,
            says: "normalizer of type BertNormalizer: 'clean_text'"),
        Bad("bert", #""lowercase": true"#, #""lowercase": 1"#, says: "'lowercase' must be true"),
        Bad("bert", #""lowercase": true"#, #""lower": true"#, says: "'lower' is not known"),
        Bad("bert", "_per_word\": 100", "_per_word\": 0", says: "'max_input_chars_per_word'"),
        Bad("bert", #""cleanup": true"#, #""cleanup": false"#, says: "'cleanup'"),
        Bad("bert", #""version": "1.0""#, #""version": "2.0""#, says: "version"),
        Bad("bert", #""padding": null"#, #""paddling": null"#, says: "'paddling' is not known"),
        Bad(
            "bert", #""padding": null"#, #""truncation": null"#, says: "'truncation' is there twice"
        ),
        Bad(
            "bert", #""type": "WordPiece", "unk"#, #""type": "WordLevel", "unk"#,
            says: "the model type 'WordLevel'"),
        Bad("bert", #""a": 3"#, #""\ud800": 3"#, says: "surrogate"),
        Bad(
            "bert", #""added_tokens": []"#,
            #""added_tokens": [{"id": 9, "content": "x", \#(added)}]"#,
            says: "the next one behind the vocabulary is 4"),
        Bad(
            "bert", #""added_tokens": []"#,
            #""added_tokens": [{"id": 2, "content": "a", \#(added)}]"#,
            says: "'a' has the id 2 there but 3"),
        Bad(
            "bert", #""added_tokens": []"#,
            #""added_tokens": [{"id": 4, "content": "", \#(added)}]"#,
            says: "is no token"),
        Bad(
            "bert", #""added_tokens": []"#, #""added_tokens": [{"id": 4, "content": "x"}]"#,
            says: "added_tokens[0]"),
        Bad("bert", #""added_tokens": []"#, #""added_tokens": {"x": 4}"#, says: "an array"),
        Bad("unigram", #""unk_id": 2"#, #""unk_id": 4"#, says: "'unk_id' must be the place"),
        Bad("unigram", #""unk_id": 2"#, #""unk_id": null"#, says: "'unk_id' must be the place"),
        Bad("unigram", #"["▁a", -1.5]"#, #"["</s>", -1.5]"#, says: "'</s>' has two ids, 1 and 3"),
        Bad("unigram", #"["▁a", -1.5]"#, #"["▁a", 1e999]"#, says: "too large"),
        Bad("unigram", #"["▁a", -1.5]"#, #"["▁a", "x"]"#, says: "digit"),
        Bad("unigram", #"["▁a", -1.5]"#, #"["▁a"]"#, says: "','"),
        Bad(
            "unigram", #""special_tokens": {"</s>""#, #""special_tokens": {"<s>""#,
            says: "uses '</s>', which special_tokens lacks"),
        Bad("unigram", #""ids": [1]"#, #""ids": [7]"#, says: "the id 7 of '</s>' is outside"),
        Bad(
            "unigram", #"{"Sequence": {"id": "B", "type_id": 0}}"#,
            #"{"Sequence": {"id": "A", "type_id": 0}}"#, says: "only prefix A suffix"),
        Bad(
            "unigram", #""normalizer": null"#,
            #""normalizer": {"type": "Precompiled", "precompiled_charsmap": "AAAA"}"#,
            says: "normalizer of type Precompiled: byte 0 of its map"),
        Bad(
            "unigram", #""normalizer": null"#,
            #""normalizer": {"type": "Precompiled", "precompiled_charsmap": "?"}"#,
            says: "not base64"),
        Bad(
            "unigram", #""normalizer": null"#,
            #""normalizer": {"type": "Sequence", "normalizers": [{"type": "NFC"}]}"#,
            says: "normalizer.normalizers[0] of type NFC"),
        Bad(
            "unigram", #""▁", "prepend_scheme": "always"},"#, #""_", "prepend_scheme": "always"},"#,
            says: "pre_tokenizer of type Metaspace: 'replacement'"),
        Bad(
            "unigram", #""▁", "prepend_scheme": "always"},"#, #""▁", "prepend_scheme": "last"},"#,
            says: "'prepend_scheme' is 'last'"),
    ]

    private static func text(_ kind: String) -> String {
        kind == "bert" ? bert : kind == "bpe" ? bpe : unigram
    }

    @Test(arguments: ["bert", "bpe", "unigram"]) func theFilesBeforeTheChangesAreGood(kind: String)
        throws
    {
        let tokenizer = try TokenizerFixtures.load(["tokenizer.json": Self.text(kind)])
        let ids: [String: [Int32]] = ["bert": [1, 3, 2], "bpe": [0], "unigram": [3, 1]]
        #expect(tokenizer.encode("a").ids == ids[kind])
    }

    @Test(arguments: bad) func whatIsWrongIsNamed(bad: Bad) throws {
        let good = Self.text(bad.kind)
        let text = good.replacingOccurrences(of: bad.change.from, with: bad.change.to)
        try #require(text != good)
        do {
            _ = try TokenizerFixtures.load(["tokenizer.json": text])
            Issue.record("it was loaded")
        } catch let error as TokenizerError {
            #expect("\(error)".contains("tokenizer.json"), "\(error)")
            #expect("\(error)".contains(bad.says), "\(error)")
        }
    }

    /// A file that breaks off anywhere is an error, never a crash.
    @Test(arguments: ["bert", "bpe", "unigram"]) func everyBeginning(kind: String) {
        let bytes = Array(Self.text(kind).utf8)
        for count in 0..<bytes.count {
            #expect(throws: TokenizerError.self) {
                try TokenizerJSON(Array(bytes[..<count]), file: "tokenizer.json")
            }
        }
    }

    /// A stride beyond the length, a length of 0: `transformers` turns both off, so they do nothing.
    @Test func truncationAndPaddingOfTheFileAreReadOver() throws {
        let text = Self.bert
            .replacingOccurrences(
                of: #""truncation": null"#,
                with: #""truncation": {"max_length": 0, "stride": 9, "strategy": "LongestFirst"}"#)
        let tokenizer = try TokenizerFixtures.load(["tokenizer.json": text])
        #expect(tokenizer.encode("a a a").ids == [1, 3, 3, 3, 2])
    }

    @Test func gapsBetweenIDsAreKept() throws {
        let text = Self.bpe.replacingOccurrences(of: #""ab": 2"#, with: #""ab": 9"#)
        let tokenizer = try TokenizerFixtures.load(["tokenizer.json": text])
        #expect(tokenizer.vocabularySize == 10)
        #expect(tokenizer.ids(of: "abb") == [9, 1])
        #expect(tokenizer.decode([9, 5, 1]) == "abb")
    }

    @Test func bracketsInsideBrackets() {
        let text = #"{"normalizer": "# + String(repeating: "[", count: 200_000)
        #expect(throws: TokenizerError.self) {
            try TokenizerJSON(Array(text.utf8), file: "tokenizer.json")
        }
    }
}
