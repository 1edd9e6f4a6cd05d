import Foundation
import Testing

@testable import RAGKit

/// `spiece.model` files that are damaged: each is refused with the place, or read to the end.
@Suite(.tags(.files)) struct SentencePieceFileTests {
    private func ownModel() throws -> [UInt8] {
        Array(
            try Data(
                contentsOf: TokenizerFixtures.own.appendingPathComponent("unigram/spiece.model")))
    }

    private func load(_ bytes: [UInt8]) throws -> UnigramTokenizer {
        let description = try UnigramDescription(
            sentencePiece: bytes, file: "spiece.model", extraIDs: 2, prefixSpace: .always)
        return try UnigramTokenizer(description, configuration: TokenizerConfiguration())
    }

    private func field(_ number: UInt8, _ bytes: [UInt8]) -> [UInt8] {
        [number << 3 | 2, UInt8(bytes.count)] + bytes
    }

    private func piece(_ text: String, type: UInt8 = 1) -> [UInt8] {
        field(1, field(1, Array(text.utf8)) + [0x15, 0, 0, 0x80, 0xBF, 0x18, type])
    }

    private var smallest: [UInt8] {
        piece("<unk>", type: 2) + piece("</s>", type: 3) + piece("▁a") + piece("<u>", type: 4)
    }

    @Test func aModelMadeByHand() throws {
        let tokenizer = try load(smallest)
        #expect(tokenizer.encode("a <u>a b").ids == [2, 3, 2, 0, 1])
        #expect(tokenizer.vocabularySize == 6)
        #expect(tokenizer.decode([2, 2, 5, 1]) == "a a")
        #expect(!tokenizer.specialTokens.allIDs.contains(3))
    }

    @Test(
        arguments: [
            ("text", Array("not a model at all".utf8), "wire type"),
            ("nothing", [], "no pieces"),
            ("field 0", [0x02, 0x00], "no field has the number 0"),
            ("a group", [0x0B], "wire type 3"),
            ("a length beyond the file", [0x0A, 0x7F, 0x00], "127 bytes, but 1 are left"),
            ("a length of 2^63", [0x0A] + [UInt8](repeating: 0xFF, count: 9) + [0x01], "are left"),
            (
                "a number of 11 bytes", [0x08] + [UInt8](repeating: 0xFF, count: 11),
                "longer than 64 bits"
            ),
            ("a piece that is a number", [0x08, 0x01], "expected bytes"),
            ("a piece without text", [0x0A, 0x02, 0x18, 0x01], "no text"),
            ("a piece that is not UTF-8", [0x0A, 0x03, 0x0A, 0x01, 0xFF], "not UTF-8"),
            (
                "a score that is no number", [0x0A, 0x05, 0x15, 0, 0, 0xC0, 0x7F],
                "no finite number"
            ),
            ("a type nobody knows", [0x0A, 0x02, 0x18, 0x09], "unknown type 9"),
        ] as [(String, [UInt8], String)])
    func aDamagedModelSaysWhere(name: String, bytes: [UInt8], says: String) {
        #expect {
            try load(bytes)
        } throws: { "\($0)".contains("spiece.model, byte") && "\($0)".contains(says) }
    }

    @Test func modelsOfOtherKinds() {
        for (settings, says) in [
            ([0x18, 0x02], "model_type is 2"), ([0xC0, 0x02, 0x63], "id 99"),
        ]
            as [([UInt8], String)]
        {
            #expect {
                try load(smallest + field(2, settings))
            } throws: { "\($0)".contains(says) }
        }
        #expect {
            try load(smallest + piece("▁a"))
        } throws: { "\($0)".contains("'▁a' has two ids, 2 and 4") }
    }

    /// Cut off at every byte, and with bytes changed at random: an error or a tokenizer that works.
    @Test func everyBeginningAndManyChanges() throws {
        let model = try ownModel()
        func use(_ bytes: [UInt8]) {
            do {
                _ = try load(bytes).encode("The keeper\u{301} ﬁ 灯台 <user>")
            } catch {
                #expect(error is TokenizerError)
            }
        }
        for count in stride(from: 0, to: model.count, by: 13) { use(Array(model[..<count])) }
        var generator = TokenizerTestGenerator(state: 11)
        for _ in 0..<300 {
            var bytes = model
            for _ in 0..<3 {
                bytes[Int.random(in: 0..<model.count, using: &generator)] = UInt8.random(
                    in: 0...255, using: &generator)
            }
            use(bytes)
        }
    }
}
