import Foundation
import Testing

@testable import RAGKit

/// Ids, segments, truncation and decoded text of our own small tokenizers, as the reference has
/// them. `make_fixtures.py` beside the files made them.
@Suite(.tags(.golden)) struct TokenizerReferenceTests {
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
        "bpe-bart", "bpe-bart-json", "bpe-bart-prefix", "bpe-gpt2", "bpe-gpt2-added",
        "bpe-gpt2-json", "unigram", "unigram-first", "unigram-json-bytes",
        "unigram-json-first-layout", "unigram-never", "wordpiece-cased",
        "wordpiece-cased-strip-accents", "wordpiece-json", "wordpiece-lower-keep-accents",
        "wordpiece-uncased",
    ]

    static let expected = Result<Expected, any Error> {
        try TokenizerFixtures.json(TokenizerFixtures.own.appendingPathComponent("expected.json"))
    }

    private func load(_ name: String) throws -> (any Tokenizer, Expected, Case) {
        let expected = try Self.expected.get()
        let tokenizer = try AutoTokenizer.load(
            contentsOf: TokenizerFixtures.own.appendingPathComponent(name))
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
            // `check_saved.py` looks at what is saved to a folder of one's own.
            let kept = ProcessInfo.processInfo.environment["RAGKIT_SAVED_TOKENIZERS"]
            let place =
                kept.map { URL(fileURLWithPath: $0).appendingPathComponent(name) }
                ?? directory.appendingPathComponent("new/folder")
            try tokenizer.save(to: place)
            let loaded = try AutoTokenizer.load(contentsOf: place)
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
    @Test(
        .tags(.slow), .unlessFast,
        .enabled(if: ProcessInfo.processInfo.environment["RAGKIT_TOKENIZER_DUMP"] != nil))
    func idsEqualADump() throws {
        let path = try #require(ProcessInfo.processInfo.environment["RAGKIT_TOKENIZER_DUMP"])
        let dump = URL(fileURLWithPath: path)
        let texts = try Data(contentsOf: dump.appendingPathComponent("texts.jsonl"))
            .split(separator: 0x0A).map {
                try JSONDecoder().decode(String.self, from: $0)
            }
        let names = try FileManager.default.contentsOfDirectory(atPath: path)
            .filter { $0.hasSuffix(".ids") }.map { String($0.dropLast(4)) }.sorted()
        #expect(!names.isEmpty)
        for name in names {
            let tokenizer = try AutoTokenizer.load(contentsOf: dump.appendingPathComponent(name))
            let numbers = try Data(contentsOf: dump.appendingPathComponent(name + ".ids"))
                .withUnsafeBytes { Array($0.bindMemory(to: Int32.self)) }
            let (mismatches, count) = compare(tokenizer, texts, numbers, name)
            print("\(name): \(texts.count) texts, \(count) ids, mismatches: \(mismatches)")
            #expect(mismatches == 0)
        }
    }

    private func compare(
        _ tokenizer: any Tokenizer, _ texts: [String], _ numbers: [Int32], _ name: String
    ) -> (mismatches: Int, ids: Int) {
        var mismatches = 0
        var place = 0
        for text in texts {
            let count = Int(numbers[place])
            let expected = numbers[(place + 1)..<(place + 1 + count)]  // may be empty
            place += count + 1
            let found = tokenizer.ids(of: text)
            guard !found.elementsEqual(expected) else { continue }
            mismatches += 1
            if mismatches <= 3 {
                let escaped = text.unicodeScalars.prefix(400).map { $0.escaped(asASCII: true) }
                Issue.record(
                    """
                    \(name): \(escaped.joined())
                    found    \(found.prefix(400))
                    expected \(expected.prefix(400))
                    """)
            }
        }
        #expect(place == numbers.count)
        return (mismatches, numbers.count - texts.count)
    }
}
