import Testing

@testable import RAGKit

@Suite struct PassageSplitterTests {
    @Test(
        arguments: [
            ("", 2, []),
            (" \n\t\u{3000}\u{A0}\u{1C}", 2, []),
            ("a", 2, ["a"]),
            ("a b", 2, ["a b"]),
            ("a b ", 2, ["a b"]),
            ("a b c", 2, ["a b", "c"]),
            ("  a\n\nb\tc  d\u{2003}e\r\n", 2, ["a b", "c d", "e"]),
            ("a\u{2028}b\u{85}c", 3, ["a b c"]),
            ("e\u{301} \u{301}x é", 1, ["e\u{301}", "\u{301}x", "é"]),
            ("a\u{200B}b 👩‍🚀", 5, ["a\u{200B}b 👩‍🚀"]),
        ] as [(String, Int, [String])])
    func splitsAtRunsOfWhiteSpace(text: String, words: Int, expected: [String]) {
        // Texts are compared byte for byte: Swift's == takes é and é for the same.
        let passages = PassageSplitter(wordsPerPassage: words).passages(of: text)
        #expect(passages.map { Array($0.utf8) } == expected.map { Array($0.utf8) })
    }

    /// The expected values were made by the reference's `split_text` in Python.
    @Test(
        arguments: [
            ("", 2, [""]),
            ("a b", 2, ["a b"]),
            ("a b ", 2, ["a b", ""]),
            ("a  b c", 2, ["a", "b c"]),
            (" a b", 2, ["a", "b"]),
            ("a\nb\tc d", 2, ["a\nb\tc d"]),
            ("\n a b \u{A0} c", 3, ["a b", "c"]),
            ("    ", 2, ["", "", ""]),
        ] as [(String, Int, [String])])
    func splitsLikeTheReference(text: String, words: Int, expected: [String]) {
        let splitter = PassageSplitter(wordsPerPassage: words, mode: .huggingFace)
        #expect(splitter.passages(of: text) == expected)
    }

    @Test func keepsWholeTexts() {
        let splitter = PassageSplitter(wordsPerPassage: nil)
        #expect(splitter.passages(of: " a \n b ") == [" a \n b "])
        #expect(splitter.passages(of: " \n") == [])
    }

    @Test(arguments: 1...12)
    func losesNoWord(words: Int) {
        let all = (0..<100).map { "w\($0)" }
        let passages = PassageSplitter(wordsPerPassage: words)
            .passages(of: all.joined(separator: " \n"))
        #expect(passages.flatMap { $0.split(separator: " ").map(String.init) } == all)
        #expect(passages.dropLast().allSatisfy { $0.split(separator: " ").count == words })
    }
}
