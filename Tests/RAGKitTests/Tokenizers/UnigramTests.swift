import Foundation
import Testing

@testable import RAGKit

/// The parts of the Unigram tokenizer, each against its definition.
@Suite struct UnigramTests {
    private func spelled(_ model: UnigramModel, _ word: String) -> [Int32] {
        var ids: [Int32] = []
        Array(word.utf8).withUnsafeBufferPointer { model.spellWords($0, into: &ids) }
        return ids
    }

    /// Random small vocabularies over few letters, so that many ways compete; one letter has no piece.
    @Test(arguments: 0..<UInt64(20)) func theBestWayIsFound(seed: UInt64) {
        var generator = TokenizerTestGenerator(state: seed)
        let letters = ["a", "b", "é", "灯"]
        var pieces = [UnigramPiece(text: "<unk>", score: 0)]
        var seen: Set<String> = []
        for _ in 0..<25 {
            let count = Int.random(in: 1...4, using: &generator)
            let text = (0..<count).map { _ in letters.randomElement(using: &generator) ?? "a" }
                .joined()
            guard seen.insert(text).inserted, text != "灯" else { continue }
            // Few different scores, so that ties are common.
            let score = -Double(Int.random(in: 1...6, using: &generator)) / 2
            pieces.append(UnigramPiece(text: text, score: score))
        }
        let model = UnigramModel(pieces, unknown: 0, fallsBackToBytes: false)
        for _ in 0..<200 {
            let count = Int.random(in: 0...30, using: &generator)
            let word = (0..<count).map { _ in letters.randomElement(using: &generator) ?? "a" }
                .joined()
            #expect(spelled(model, word) == spelledSlowly(word, pieces), "\(word)")
        }
    }

    /// Dynamic programming over scalars and strings: the first of equal ways stays, unknown
    /// neighbours become one text, which may be a piece after all.
    private func spelledSlowly(_ word: String, _ pieces: [UnigramPiece]) -> [Int32] {
        let scalars = Array(word.unicodeScalars).map { String($0) }
        let worst = pieces.map(\.score).min() ?? 0
        var best: [(score: Double, start: Int, id: Int)?] = Array(
            repeating: nil, count: scalars.count + 1)
        best[0] = (0, 0, -1)
        for start in scalars.indices {
            func offer(_ end: Int, _ score: Double, _ id: Int) {
                let total = score + (best[start]?.score ?? 0)
                if let known = best[end], known.score >= total { return }
                best[end] = (total, start, id)
            }
            var hasSingle = false
            for end in (start + 1)...scalars.count {
                let text = scalars[start..<end].joined()
                guard let id = pieces.firstIndex(where: { $0.text == text }) else { continue }
                offer(end, pieces[id].score, id)
                if end == start + 1 { hasSingle = true }
            }
            if !hasSingle { offer(start + 1, worst - 10, 0) }
        }
        var parts: [(text: String, id: Int)] = []
        var end = scalars.count
        while end > 0, let node = best[end] {
            let text = scalars[node.start..<end].joined()
            if node.id == 0, let last = parts.first, last.id == 0 {
                parts[0].text = text + last.text
            } else {
                parts.insert((text, node.id), at: 0)
            }
            end = node.start
        }
        return parts.map { part in
            Int32(part.id != 0 ? part.id : pieces.firstIndex { $0.text == part.text } ?? 0)
        }
    }

    @Test func unknownTextInBytes() {
        var pieces = [UnigramPiece(text: "<unk>", score: 0), UnigramPiece(text: "a", score: -1)]
        for byte in ["E2", "96", "81", "C3", "A9"] {
            pieces.append(UnigramPiece(text: "<0x\(byte)>", score: -9))
        }
        let model = UnigramModel(pieces, unknown: 0, fallsBackToBytes: true)
        #expect(spelled(model, "aé") == [1, 5, 6])
        #expect(spelled(model, "éa") == [5, 6, 1])
        #expect(spelled(model, " a") == [2, 3, 4, 1])  // a mark is three bytes
        #expect(spelled(model, "aèa") == [1, 0, 1])  // A8 has no piece
        let without = UnigramModel(pieces, unknown: 0, fallsBackToBytes: false)
        #expect(spelled(without, "aé") == [1, 0])
    }

    @Test(arguments: 0..<UInt64(10)) func theTrieFindsWhatWasPutIn(seed: UInt64) {
        var generator = TokenizerTestGenerator(state: seed)
        var keys: [[UInt8]: Int32] = [:]
        for id in 0..<Int32(2000) {
            let count = Int.random(in: 1...6, using: &generator)
            let highest: UInt8 = seed % 2 == 0 ? 4 : 255
            keys[(0..<count).map { _ in UInt8.random(in: 0...highest, using: &generator) }] = id
        }
        let trie = ByteTrie(keys.map { (key: $0.key, id: $0.value) })
        for (key, id) in keys { #expect(trie.id(of: key) == id) }
        for _ in 0..<500 {
            let text = (0..<8).map { _ in UInt8.random(in: 0...4, using: &generator) }
            let expected = (1...8).last { keys[Array(text[..<$0])] != nil }
            let found = text.withUnsafeBufferPointer { trie.longestMatch(in: $0, at: 0) }
            #expect(found?.end == expected)
            #expect(trie.id(of: text) == keys[text] ?? -1)
        }
        #expect(ByteTrie([]).id(of: [1]) == -1)
        #expect(ByteTrie([(key: [], id: 1)]).id(of: []) == -1)
    }

    /// Text that comes as `serde_json` reads it; the values are those of the reference.
    @Test(arguments: [
        ("-2.0122928619384766", -2.012292861938477), ("-3.9598512649536133", -3.9598512649536137),
        ("0", 0), ("0.0", 0), ("-1e2", -100), ("1.5E-3", 0.0015), ("1e-400", 0),
        ("123456789012345678901234", 1.2345678901234567e23),
        ("18446744073709551616", 1.8446744073709552e19),
    ]) func numbersAreReadAsTheReferenceDoes(text: String, value: Double) {
        let found = Array(text.utf8).withUnsafeBytes { ReferenceNumber.value(of: $0) }
        #expect(found == value)
    }

    @Test func aNumberThatIsTooLarge() {
        for text in ["1e309", "99e308", "1e99999999999999999999"] {
            #expect(Array(text.utf8).withUnsafeBytes { ReferenceNumber.value(of: $0) } == nil)
        }
    }

    @Test(arguments: [
        ("ab", [1, 1]), ("a\u{301}b", [3, 1]), ("\r\n\n", [2, 1]),
        ("\u{1100}\u{1161}\u{11A8}가", [9, 3]),
        ("각\u{11A8}", [6]), ("가\u{11A8}\u{1161}", [6, 3]), ("👩\u{200D}👧x", [11, 1]),
        ("a\u{200D}👧", [4, 4]), ("🇩🇪🇫🇷", [8, 8]), ("क\u{94D}क\u{94D}\u{200D}क", [18]),
        ("क\u{94D}\u{200C}क", [9, 3]), ("\u{600}a", [3]), ("\u{600}\n", [2, 1]),
        ("\n\u{301}", [1, 2]),
        ("©\u{301}\u{200D}‼", [10]), ("\u{0E33}", [3]), ("ก\u{0E33}", [6]), ("က\u{102B}", [3, 3]),
    ]) func clustersOfCharacters(text: String, lengths: [Int]) {
        var found: [Int] = []
        Array(text.utf8).withUnsafeBufferPointer { text in
            var start = 0
            while start < text.count {
                let end = GraphemeClusters.end(in: text, from: start)
                found.append(end - start)
                start = end
            }
        }
        #expect(found == lengths)
    }

    /// Every map that is cut off, and every one with one unit changed, is refused or safe to use.
    @Test func damagedCharacterMaps() throws {
        let url = TokenizerFixtures.own.appendingPathComponent("unigram/spiece.model")
        let model = try SentencePieceFile(Array(Data(contentsOf: url)), file: "spiece.model")
        let map = try #require(model.characters).bytes
        let probes = ["ﬁ", "e\u{301}", "abc", "\u{FF76}\u{FF9E}", "\u{FF}"].map { Array($0.utf8) }
        func use(_ bytes: [UInt8]) {
            guard let map = try? CharacterMap(bytes) else { return }
            for probe in probes {
                probe.withUnsafeBufferPointer { probe in
                    if let range = map.replacement(of: probe) { _ = map.bytes(of: range) }
                }
            }
        }
        for count in stride(from: 0, to: map.count, by: 7) { use(Array(map[..<count])) }
        var generator = TokenizerTestGenerator(state: 3)
        for _ in 0..<500 {
            var bytes = map
            bytes[Int.random(in: 0..<map.count, using: &generator)] = UInt8.random(
                in: 0...255, using: &generator)
            use(bytes)
        }
        var farOff = map
        (farOff[4], farOff[5], farOff[6], farOff[7]) = (0, 0xFE, 0xFF, 0xFF)
        #expect(throws: CharacterMap.Failure.self) { try CharacterMap(farOff) }
    }
}
