import Foundation
import Testing

@testable import RAGKit

@Suite struct TokenizerPropertyTests {
    private func own(_ name: String) throws -> any Tokenizer {
        try AutoTokenizer.load(contentsOf: TokenizerFixtures.own.appendingPathComponent(name))
    }

    /// How many random strings there are for each of 20 seeds: 100,000 in all, fewer in debug mode.
    #if DEBUG
        private static let strings = 200
    #else
        private static let strings = 5000
    #endif

    @Test(arguments: 0..<UInt64(20)) func byteLevelTextComesBack(seed: UInt64) throws {
        let tokenizer = try own("bpe-bart")
        var generator = TokenizerTestGenerator(state: seed)
        for _ in 0..<Self.strings {
            let text = generator.string(upTo: 60)
            let ids = tokenizer.ids(of: text)
            let decoded = tokenizer.decode(ids, skippingSpecialTokens: false, cleaningUp: false)
            // Swift calls canonically equivalent strings equal; bytes are stricter.
            #expect(Array(decoded.utf8) == Array(text.utf8), "\(text.debugDescription)")
        }
    }

    /// Decoded WordPiece text is a fixed point where every word was known.
    @Test(arguments: 0..<UInt64(20)) func decodedWordPieceTextKeepsItsIDs(seed: UInt64) throws {
        let tokenizer = try own("wordpiece-uncased")
        var generator = TokenizerTestGenerator(state: seed)
        for _ in 0..<Self.strings {
            let ids = tokenizer.ids(of: generator.string(upTo: 40))
            guard let unk = tokenizer.specialTokens.unk, !ids.contains(unk) else { continue }
            let text = tokenizer.decode(ids, skippingSpecialTokens: false, cleaningUp: false)
            let again = tokenizer.ids(of: text)
            let decoded = tokenizer.decode(again, skippingSpecialTokens: false, cleaningUp: false)
            #expect(decoded == text)
        }
    }

    /// Decoded Unigram text is a fixed point after one round where nothing was unknown.
    @Test(arguments: 0..<UInt64(20), ["unigram", "unigram-first", "unigram-json-first-layout"])
    func decodedUnigramTextKeepsItsIDs(seed: UInt64, name: String) throws {
        let tokenizer = try own(name)
        var generator = TokenizerTestGenerator(state: seed)
        var count = 0
        for _ in 0..<Self.strings {
            let ids = tokenizer.ids(of: generator.string(upTo: 12))
            guard let unk = tokenizer.specialTokens.unk, !ids.contains(unk) else { continue }
            let once = tokenizer.decode(ids, skippingSpecialTokens: false, cleaningUp: false)
            let again = tokenizer.ids(of: once)
            let twice = tokenizer.decode(again, skippingSpecialTokens: false, cleaningUp: false)
            #expect(tokenizer.ids(of: twice) == again)
            count += 1
        }
        #expect(count > 5)
    }

    /// Ten times the text takes about ten times as long, whatever it is made of. Times are those of
    /// the thread, so that other tests do not disturb them.
    @Test(
        .tags(.slow), .unlessFast,
        arguments: ["wordpiece-json", "bpe-bart-json", "unigram", "unigram-json-first-layout"])
    func timeIsProportionalToLength(name: String) throws {
        let tokenizer = try own(name)
        for part in [
            "lighthouse", "\u{301}", "a\u{302E}\u{1D165}", "👩\u{200D}", " ", "▁", "灯", "<user>",
            "ﬁ\n",
        ] {
            func seconds(_ count: Int) -> Double {
                let text = String(repeating: part, count: count)
                return (0..<3).map { _ in
                    let start = threadSeconds()
                    _ = tokenizer.ids(of: text)
                    return threadSeconds() - start
                }.min() ?? 0
            }
            // Short times are mostly fixed cost and noise. What is slow for once is measured again.
            var (short, long) = (seconds(3000), seconds(30000))
            for _ in 0..<3 where long > max(short, 0.002) * 12 {
                (short, long) = (seconds(3000), seconds(30000))
            }
            #expect(long <= max(short, 0.002) * 12, "\(part.debugDescription): \(short), \(long)")
        }
    }

    /// Short and long words are merged by different code, and long words by other code still where
    /// merges are in no order that could be learnt; all must do what the definition says.
    @Test(arguments: 0..<UInt64(20), [false, true])
    func allWaysToMergeAgree(seed: UInt64, shuffled: Bool) {
        var generator = TokenizerTestGenerator(state: seed)
        // Bytes 0 to 3; merges make new symbols from any two, several ways.
        var symbols: [Int32] = [0, 1, 2, 3]
        var merges: [(left: Int32, right: Int32, merged: Int32)] = []
        for _ in 0..<30 {
            let left = symbols[Int.random(in: 0..<symbols.count, using: &generator)]
            let right = symbols[Int.random(in: 0..<symbols.count, using: &generator)]
            let merged = Int32(symbols.count)
            symbols.append(merged)
            merges.append((left, right, merged))
        }
        if shuffled { merges.shuffle(using: &generator) }
        let byteIDs = (0..<256).map { Int32($0 < 4 ? $0 : -1) }
        let merger = BytePairMerger(byteIDs: byteIDs, merges: merges)
        for _ in 0..<200 {
            let count = Int.random(in: 0...200, using: &generator)
            let word = (0..<count).map { _ in UInt8.random(in: 0...4, using: &generator) }
            var found: [Int32] = []
            word.withUnsafeBufferPointer { merger.spell($0, into: &found) }
            #expect(found == spelledSlowly(word, merges))
        }
    }

    /// The definition, word for word.
    private func spelledSlowly(
        _ word: [UInt8], _ merges: [(left: Int32, right: Int32, merged: Int32)]
    ) -> [Int32] {
        var symbols = word.filter { $0 < 4 }.map { Int32($0) }
        while true {
            let pairs = zip(symbols, symbols.dropFirst()).map { pair in
                merges.firstIndex { $0.left == pair.0 && $0.right == pair.1 } ?? .max
            }
            guard let rank = pairs.min(), rank != .max, let place = pairs.firstIndex(of: rank)
            else { return symbols }
            symbols.replaceSubrange(place...place + 1, with: [merges[rank].merged])
        }
    }

    @Test func wordsPutTogetherAreTheText() {
        var generator = TokenizerTestGenerator(state: 7)
        let scanner = GPT2WordScanner()
        for _ in 0..<500 {
            let bytes = Array(generator.string(upTo: 50).utf8)
            var ranges: [Range<Int>] = []
            bytes.withUnsafeBufferPointer { scanner.forEachWord(in: $0) { ranges.append($0) } }
            #expect(ranges.flatMap { Array(bytes[$0]) } == bytes)
            #expect(ranges.allSatisfy { !$0.isEmpty })
        }
    }

    /// Marks that are not accents stay, in canonical order; the values are `BertNormalizer`'s.
    @Test(arguments: [
        ("a\u{302E}\u{1D165}b", "a\u{1D165}\u{302E}b"),
        ("a\u{1D165}\u{302E}", "a\u{1D165}\u{302E}"),
        ("\u{302E}\u{0301}\u{1D165}\u{1885}c", "\u{1D165}\u{302E}\u{1885}c"),
    ]) func marksAreOrdered(text: String, normalized: String) {
        let scanner = BertWordScanner(lowercase: true, stripAccents: true, spacesIdeographs: true)
        var words: [[UInt8]] = []
        Array(text.utf8).withUnsafeBufferPointer { text in
            scanner.forEachWord(in: text) { word, _ in words.append(Array(word)) }
        }
        #expect(words == [Array(normalized.utf8)])
    }

    @Test func theByteAlphabetIsOneToOne() {
        #expect(Set(ByteLevelAlphabet.scalars).count == 256)
        let all = (0...255).map { UInt8($0) }
        #expect(ByteLevelAlphabet.bytes(of: Array(ByteLevelAlphabet.token(of: all).utf8)) == all)
        #expect(ByteLevelAlphabet.token(of: [0x20, 0x0A, 0x61]) == "ĠĊa")
        #expect(ByteLevelAlphabet.bytes(of: Array("a b".utf8)) == nil)
    }

    @Test func theTableFindsWhatWasPutIn() {
        var table = ByteStringTable(capacity: 1)
        for id in 0..<Int32(5000) { #expect(table.insert("word\(id)", id: id) == -1) }
        for id in 0..<Int32(5000) { #expect(table.id(of: "word\(id)") == id) }
        #expect(table.insert("word17", id: 9999) == 17)
        #expect(table.id(of: "word5000") == -1)
        #expect(table.id(of: "") == -1)
        #expect(table.count == 5000 && table.longestKey == 8)
    }

    @Test func fingerprintsTellTokenizersApart() throws {
        let names = TokenizerReferenceTests.names
        let prints = try names.map { try own($0).fingerprint }
        #expect(Set(prints).count == names.count)
        #expect(prints.allSatisfy { $0.count == 32 })
        // Fixed: a stored digest must mean the same in every process and release.
        let tokenizer = try WordPieceTokenizer(vocabulary: ["[UNK]", "[CLS]", "[SEP]", "a"])
        #expect(tokenizer.fingerprint == "69ca6955dcd4507f45eca6b0c06c2141")
        let longer = try WordPieceTokenizer(
            vocabulary: ["[UNK]", "[CLS]", "[SEP]", "a"], modelMaxLength: 9)
        #expect(longer.fingerprint == tokenizer.fingerprint)
    }

    /// One word of ten megabytes comes back, and needs no deep stack.
    @Test(.tags(.slow), .unlessFast) func oneEnormousWord() throws {
        let tokenizer = try own("bpe-bart")
        #if DEBUG
            let count = 100_000
        #else
            let count = 1_000_000
        #endif
        let text = String(repeating: "lighthouse", count: count)
        let ids = tokenizer.ids(of: text)
        #expect(tokenizer.decode(ids) == text)
        let bert = try own("wordpiece-uncased")
        #expect(bert.ids(of: text) == [1])
        let unigram = try own("unigram")
        #expect(unigram.decode(unigram.ids(of: text)) == text)
    }

    @Test func manyTasksAtOnce() async throws {
        let tokenizer = try own("bpe-bart")
        let texts = (0..<50).map { "The keeper counts \($0) ships, isn't it \($0 * 7)?" }
        let expected = texts.map { tokenizer.ids(of: $0) }
        let found = await withTaskGroup(of: [[Int32]].self) { group in
            for _ in 0..<8 { group.addTask { texts.map { tokenizer.ids(of: $0) } } }
            return await group.reduce(into: [[[Int32]]]()) { $0.append($1) }
        }
        #expect(found.allSatisfy { $0 == expected })
    }
}
