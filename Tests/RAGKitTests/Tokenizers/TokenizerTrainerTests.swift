import Foundation
import Testing

@testable import RAGKit

@Suite struct TokenizerTrainerTests {
    private let texts = [
        "The lighthouse keeper counts the ships that pass before breakfast.",
        "Seven small boats were painted blue; the eighth one wasn't painted at all.",
        "The ships pass the lighthouse, and the keeper counts seven small ships.",
        "Der Bäcker verkauft süße Brötchen. 灯台は夜に光る。",
    ]

    @Test func wordPieceLearnsTheWordsThatRepeat() throws {
        let tokenizer = try WordPieceTrainer(vocabularySize: 200).train(on: texts)
        #expect(tokenizer.vocabularySize <= 200)
        let special = tokenizer.specialTokens
        #expect(special.pad == 0 && special.unk == 1 && special.cls == 2 && special.sep == 3)
        #expect(tokenizer.ids(of: "The LIGHTHOUSE").count == 2)
        for text in texts {
            let ids = tokenizer.ids(of: text)
            #expect(!ids.contains(1))
        }
        #expect(tokenizer.decode(tokenizer.ids(of: texts[0])) == texts[0].lowercased())
        #expect(tokenizer.ids(of: "é") == tokenizer.ids(of: "e"))
        #expect(tokenizer.ids(of: "q") == [1])
    }

    @Test(arguments: [ByteLevelBPETokenizer.Style.bart, .gpt2])
    func byteLevelBPELearnsTheWordsThatRepeat(style: ByteLevelBPETokenizer.Style) throws {
        let tokenizer = try ByteBPETrainer(vocabularySize: 350, style: style).train(on: texts)
        let special = tokenizer.specialTokens
        let last = Int32(tokenizer.vocabularySize - 1)
        if style == .bart {
            #expect(special.bos == 0 && special.pad == 1 && special.eos == 2 && special.unk == 3)
            #expect(special.mask == last)
            #expect(tokenizer.encode("a", pair: "b").ids.filter { $0 == 2 }.count == 3)
        } else {
            #expect(special.eos == last && special.bos == last)
        }
        #expect(tokenizer.ids(of: " ships").count == 1)
        for text in texts + ["unseen 👩‍👩‍👧 bytes \u{0}"] {
            #expect(tokenizer.decode(tokenizer.ids(of: text)) == text)
        }
    }

    /// The definition: the counts of all pairs, taken anew for every merge.
    private func slowMerges(
        _ words: [(symbols: [Int32], count: Int)], limit: Int
    ) -> [PairMergeTrainer.Merge] {
        var words = words
        var merges: [PairMergeTrainer.Merge] = []
        while merges.count < limit {
            var counts: [[Int32]: Int] = [:]
            for word in words {
                for pair in zip(word.symbols, word.symbols.dropFirst()) {
                    counts[[pair.0, pair.1], default: 0] += word.count
                }
            }
            let best = counts.min {
                ($1.value, $0.key[0], $0.key[1]) < ($0.value, $1.key[0], $1.key[1])
            }
            guard let best, best.value >= 2 else { break }
            merges.append(.init(left: best.key[0], right: best.key[1]))
            let id = Int32(99 + merges.count)
            for word in words.indices {
                var index = 0
                while index + 1 < words[word].symbols.count {
                    if Array(words[word].symbols[index...index + 1]) == best.key {
                        words[word].symbols.replaceSubrange(index...index + 1, with: [id])
                    }
                    index += 1
                }
            }
        }
        return merges
    }

    @Test(arguments: 0..<UInt64(50)) func mergesEqualAPlainRecount(seed: UInt64) {
        var generator = TokenizerTestGenerator(state: seed)
        let letters = Int32(2 + seed % 3)
        let words = (0..<40).map { _ in
            (
                symbols: (0..<Int.random(in: 1...14, using: &generator)).map { _ in
                    Int32.random(in: 0..<letters, using: &generator)
                }, count: Int.random(in: 1...5, using: &generator)
            )
        }
        var trainer = PairMergeTrainer()
        for word in words { trainer.add(word.symbols, count: word.count) }
        var merges: [PairMergeTrainer.Merge] = []
        trainer.train(limit: 60, minimumFrequency: 2) { merge in
            merges.append(merge)
            return Int32(99 + merges.count)
        }
        #expect(merges == slowMerges(words, limit: 60))
    }

    @Test func theOrderOfTextsMakesNoDifference() throws {
        let first = try WordPieceTrainer(vocabularySize: 150).train(on: texts)
        let second = try WordPieceTrainer(vocabularySize: 150).train(on: texts.reversed())
        #expect(first.fingerprint == second.fingerprint)
        let third = try ByteBPETrainer(vocabularySize: 300).train(on: texts)
        let fourth = try ByteBPETrainer(vocabularySize: 300).train(on: texts.reversed())
        #expect(third.fingerprint == fourth.fingerprint)
    }

    @Test func settingsDoSomething() throws {
        let cased = try WordPieceTrainer(vocabularySize: 200, lowercase: false).train(on: texts)
        #expect(cased.ids(of: "The") != cased.ids(of: "the"))
        let rare = try WordPieceTrainer(vocabularySize: 500, minimumFrequency: 1).train(on: texts)
        let usual = try WordPieceTrainer(vocabularySize: 500).train(on: texts)
        #expect(rare.vocabularySize > usual.vocabularySize)
        let few = try WordPieceTrainer(vocabularySize: 500, alphabetLimit: 8).train(on: texts)
        #expect(few.ids(of: "灯") == [1])
        let own = try WordPieceTrainer(
            vocabularySize: 200, specialTokens: ["[UNK]", "[CLS]", "[SEP]", "[Q]"]
        ).train(on: texts)
        #expect(own.specialTokens.unk == 0 && own.specialTokens.pad == nil)
        let prefixed = try ByteBPETrainer(vocabularySize: 350, addsPrefixSpace: true)
            .train(on: texts)
        #expect(prefixed.ids(of: "ships") == prefixed.ids(of: " ships"))
    }

    @Test func savedFilesLoadAgain() throws {
        let trained: [any Tokenizer] = [
            try WordPieceTrainer(vocabularySize: 150).train(on: texts),
            try ByteBPETrainer(vocabularySize: 300).train(on: texts),
            try ByteBPETrainer(vocabularySize: 300, style: .gpt2).train(on: texts),
        ]
        for tokenizer in trained {
            try TokenizerFixtures.withDirectory { directory in
                try tokenizer.save(to: directory)
                let loaded = try AutoTokenizer.load(contentsOf: directory)
                #expect(loaded.fingerprint == tokenizer.fingerprint)
                #expect(loaded.encode(texts[1]) == tokenizer.encode(texts[1]))
            }
        }
    }

    @Test func noTextAtAll() throws {
        let none: [String] = []
        #expect(try WordPieceTrainer(vocabularySize: 10).train(on: none).vocabularySize == 5)
        #expect(try ByteBPETrainer(vocabularySize: 500).train(on: none).vocabularySize == 261)
    }

    @Test func aVocabularyTooSmallIsRefused() throws {
        #expect(throws: TokenizerError.self) {
            try WordPieceTrainer(vocabularySize: 20).train(on: texts)
        }
        #expect {
            try ByteBPETrainer(vocabularySize: 260).train(on: texts)
        } throws: { "\($0)".contains("need 261") }
        #expect(throws: TokenizerError.self) {
            try WordPieceTrainer(vocabularySize: 200, specialTokens: ["[UNK]"]).train(on: texts)
        }
    }
}
