import Foundation
import Testing

@testable import RAGKit

/// Ids, segments, truncation and decoded text of our own small tokenizers, as the reference has
/// them. `make_fixtures.py` beside the files made them.
@Suite struct TokenizerReferenceTests {
    struct Expected: Decodable {
        var texts: [String]
        var pairs: [[String]]
        var lengths: [Int?]
        var cases: [String: Case]
    }

    struct Case: Decodable {
        var length: Int
        var modelMaxLength: Int?
        var special: [String: Int32?]
        var allSpecial: [Int32]
        var ids: [[Int32]]
        var decoded: [String]
        var decodedAll: [String]
        var decodedRaw: [String]
        var single: [[[Int32]]]
        var pair: [[[[Int32]]]]
        var slices: [Slice]
    }

    struct Slice: Decodable {
        var ids: [Int32]
        var text: String

        init(from decoder: any Decoder) throws {
            var container = try decoder.unkeyedContainer()
            ids = try container.decode([Int32].self)
            text = try container.decode(String.self)
        }
    }

    static let names = [
        "bpe-bart", "bpe-bart-prefix", "bpe-gpt2", "bpe-gpt2-added", "wordpiece-cased",
        "wordpiece-cased-strip-accents", "wordpiece-lower-keep-accents", "wordpiece-uncased",
    ]

    static let expected = Result<Expected, any Error> {
        try TokenizerFixtures.json(TokenizerFixtures.own.appendingPathComponent("expected.json"))
    }

    private func load(_ name: String) throws -> (any Tokenizer, Expected, Case) {
        let expected = try Self.expected.get()
        let tokenizer = try loadTokenizer(from: TokenizerFixtures.own.appendingPathComponent(name))
        return (tokenizer, expected, try #require(expected.cases[name]))
    }

    @Test(arguments: names) func idsAndDecodedTextEqualTheReference(name: String) throws {
        let (tokenizer, expected, reference) = try load(name)
        for (index, text) in expected.texts.enumerated() {
            #expect(tokenizer.ids(of: text) == reference.ids[index], "\(text.debugDescription)")
            let ids = tokenizer.encode(text).ids
            #expect(tokenizer.decode(ids) == reference.decoded[index])
            #expect(
                tokenizer.decode(ids, skippingSpecialTokens: false, cleaningUp: true)
                    == reference.decodedAll[index])
            #expect(
                tokenizer.decode(ids, skippingSpecialTokens: false, cleaningUp: false)
                    == reference.decodedRaw[index])
        }
    }

    @Test(arguments: names) func specialTokensAndSizesEqualTheReference(name: String) throws {
        let (tokenizer, _, reference) = try load(name)
        let special = tokenizer.specialTokens
        let found = [
            "bos": special.bos, "eos": special.eos, "unk": special.unk, "sep": special.sep,
            "pad": special.pad, "cls": special.cls, "mask": special.mask,
        ]
        #expect(found == reference.special)
        #expect(special.allIDs == Set(reference.allSpecial))
        #expect(tokenizer.vocabularySize == reference.length)
        #expect(tokenizer.modelMaxLength == reference.modelMaxLength)
    }

    @Test(arguments: names) func truncationEqualsTheReference(name: String) throws {
        let (tokenizer, expected, reference) = try load(name)
        for (row, pair) in expected.pairs.enumerated() {
            for (column, length) in expected.lengths.enumerated() {
                let single = tokenizer.encode(pair[0], pair: nil, maxLength: length)
                #expect(single.ids == reference.single[row][column])
                #expect(single.typeIDs.allSatisfy { $0 == 0 })
                let both = tokenizer.encode(pair[0], pair: pair[1], maxLength: length)
                #expect(both.ids == reference.pair[row][column][0], "\(pair) \(length ?? -1)")
                #expect(both.typeIDs == reference.pair[row][column][1], "\(pair) \(length ?? -1)")
                let whole = tokenizer.encode(pair[0], pair: pair[1])
                #expect(both.truncatedCount == whole.ids.count - both.ids.count)
            }
        }
    }

    @Test(arguments: names) func partsOfCharactersDecodeAsTheReference(name: String) throws {
        let (tokenizer, _, reference) = try load(name)
        for slice in reference.slices {
            let text = tokenizer.decode(
                slice.ids, skippingSpecialTokens: false, cleaningUp: false)
            #expect(text == slice.text, "\(slice.ids)")
        }
    }

    @Test(arguments: names) func savedFilesGiveTheSameTokenizer(name: String) throws {
        let (tokenizer, expected, reference) = try load(name)
        try TokenizerFixtures.withDirectory { directory in
            let place = directory.appendingPathComponent("new/folder")
            try tokenizer.save(to: place)
            let loaded = try loadTokenizer(from: place)
            #expect(loaded.fingerprint == tokenizer.fingerprint)
            #expect(loaded.specialTokens == tokenizer.specialTokens)
            #expect(loaded.vocabularySize == tokenizer.vocabularySize)
            #expect(loaded.modelMaxLength == tokenizer.modelMaxLength)
            for (index, text) in expected.texts.enumerated() {
                #expect(loaded.ids(of: text) == reference.ids[index])
            }
        }
    }

    /// Without a limit on the text there is none on the sequence but its special tokens.
    @Test func aLengthBelowTheSpecialTokensKeepsThem() throws {
        let (tokenizer, _, _) = try load("wordpiece-uncased")
        let encoding = tokenizer.encode("the keeper", maxLength: 1)
        #expect(encoding.ids == [2, 3])
        #expect(encoding.truncatedCount == tokenizer.ids(of: "the keeper").count)
    }

    /// Ids nobody has add nothing.
    @Test(arguments: names) func foreignIDsDecodeToNothing(name: String) throws {
        let (tokenizer, _, _) = try load(name)
        let size = Int32(tokenizer.vocabularySize)
        #expect(tokenizer.decode([-1, size, .max, .min]) == "")
    }

    /// A large dump of the reference, named by the environment; `dump_reference_ids.py` writes one.
    @Test(.enabled(if: ProcessInfo.processInfo.environment["RAGKIT_TOKENIZER_DUMP"] != nil))
    func idsEqualADump() throws {
        struct Head: Decodable { var tokenizers: [String] }
        struct Line: Decodable {
            var text: String
            var ids: [String]
        }
        let path = try #require(ProcessInfo.processInfo.environment["RAGKIT_TOKENIZER_DUMP"])
        let lines = try Data(contentsOf: URL(fileURLWithPath: path)).split(separator: 0x0A)
        let head = try JSONDecoder().decode(Head.self, from: try #require(lines.first))
        let tokenizers = try head.tokenizers.map {
            try loadTokenizer(from: URL(fileURLWithPath: $0))
        }
        var mismatches = [Int](repeating: 0, count: tokenizers.count)
        for data in lines.dropFirst() {
            let line = try JSONDecoder().decode(Line.self, from: data)
            for (index, tokenizer) in tokenizers.enumerated() {
                let ids = tokenizer.ids(of: line.text).map(String.init).joined(separator: " ")
                guard ids != line.ids[index] else { continue }
                mismatches[index] += 1
                if mismatches[index] <= 3 {
                    let text = line.text.unicodeScalars.map { $0.escaped(asASCII: true) }.joined()
                    Issue.record(
                        """
                        \(head.tokenizers[index]): \(text)
                        found    \(ids)
                        expected \(line.ids[index])
                        """)
                }
            }
        }
        print("texts: \(lines.count - 1), mismatches: \(mismatches)")
        #expect(mismatches.allSatisfy { $0 == 0 })
    }
}
