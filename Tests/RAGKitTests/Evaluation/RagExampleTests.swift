import Foundation
import Testing

@testable import RAGKit

/// The readers of questions and answers.
@Suite struct RagExampleTests {
    private func read(_ source: String, _ target: String) throws -> [RagExample] {
        let place = try TemporaryDirectory()
        try place.write(source.utf8, to: "train.source")
        try place.write(target.utf8, to: "train.target")
        return try RagExample.read(directory: place.url, split: "train")
    }

    @Test(arguments: [
        ("q one\nq two\n", "a one\na two\n"), ("q one\nq two", "a one\na two"),
        ("q one\r\nq two\r\n", "a one\r\na two\r\n"), ("q one\r\nq two", "a one\na two\n"),
        ("\u{FEFF}q one\nq two\n", "\u{FEFF}a one\na two\n"),
    ])
    func linesInAllForms(source: String, target: String) throws {
        #expect(
            try read(source, target) == [
                RagExample(question: "q one", answers: ["a one"]),
                RagExample(question: "q two", answers: ["a two"]),
            ])
    }

    /// Only newlines end a line: no other separator, and no character is joined or lost.
    @Test func whatIsNoLineEnd() throws {
        let odd = "a\u{2028}b\u{85}c\u{0B}d\re\u{301}"
        #expect(
            try read(odd + "\n x \n", "y\n\u{301}z\n") == [
                RagExample(question: odd, answers: ["y"]),
                RagExample(question: " x ", answers: ["\u{301}z"]),
            ])
        #expect(try read("a\nb\n", "c\nd\n")[1].origin?.hasSuffix("/train.source:2") == true)
    }

    private func expect(
        _ words: String..., sourceLocation: SourceLocation = #_sourceLocation,
        from body: () throws -> Void
    ) {
        let error = #expect(throws: DatasetError.self, sourceLocation: sourceLocation) {
            try body()
        }
        for word in words {
            #expect(
                error?.description.contains(word) == true, "\(error?.description ?? "")",
                sourceLocation: sourceLocation)
        }
    }

    @Test func whatCannotBeRead() throws {
        let place = try TemporaryDirectory()
        expect("val.source", "no file") {
            _ = try RagExample.read(directory: place.url, split: "val")
        }
        try place.write("q\n".utf8, to: "val.source")
        expect("val.target", "no file") {
            _ = try RagExample.read(directory: place.url, split: "val")
        }
        expect("train.source' has 3 lines", "train.target' 2") { _ = try read("a\nb\nc\n", "a\nb") }
        expect("train.source:2", "empty line") { _ = try read("a\n\nc\n", "a\nb\nc") }
        expect("train.target:3", "empty line") { _ = try read("a\nb\nc\n", "a\nb\n \t\n") }
        expect("train.source:2", "empty line") { _ = try read("a\n\n", "a\nb") }
        expect("train.source", "no example") { _ = try read("", "") }
        try place.write([0x61, 0xFF, 0x0A], to: "bad.source")
        try place.write("x\n".utf8, to: "bad.target")
        expect("bad.source", "UTF-8") {
            _ = try RagExample.read(directory: place.url, split: "bad")
        }
    }

    private func readLines(_ text: String) throws -> [RagExample] {
        let place = try TemporaryDirectory()
        return try RagExample.read(jsonLines: place.write(text.utf8, to: "set.jsonl"))
    }

    @Test func jsonLines() throws {
        let text = """
            {"question": "q one", "answers": ["a", "b"], "id": 7}\r

            {"question": "q \\u00e9", "answers": ["c"], "other": 1}
            {"id": null, "answers": ["d"], "question": "q"}
            """
        let examples = try readLines(text)
        #expect(
            examples.map { $0.origin?.split(separator: "/").last } == [
                "set.jsonl:1", "set.jsonl:3", "set.jsonl:4",
            ])
        #expect(
            examples == [
                RagExample(question: "q one", answers: ["a", "b"], goldPassage: 7),
                RagExample(question: "q \u{E9}", answers: ["c"]),
                RagExample(question: "q", answers: ["d"]),
            ])
    }

    @Test func badJSONLines() throws {
        let good = #"{"question": "q", "answers": ["a"]}"# + "\n"
        for (line, word) in [
            ("{", "JSON"), (#"{"question": "q"}"#, "'answers'"),
            (#"{"answers": ["a"]}"#, "'question'"),
            (#"{"question": " ", "answers": ["a"]}"#, "'question'"),
            (#"{"question": "q", "answers": []}"#, "'answers'"),
            (#"{"question": "q", "answers": "a"}"#, "'answers'"),
            (#"{"question": "q", "answers": ["a", 3]}"#, "'answers'"),
            (#"{"question": "q", "answers": ["a", " "]}"#, "'answers'"),
            (#"{"question": "q", "answers": ["a"], "id": "x"}"#, "'id'"),
            (#"{"question": "q", "answers": ["a"], "id": -1}"#, "'id'"), ("[1]", "'question'"),
        ] {
            expect("set.jsonl:3", word) { _ = try readLines(good + "\n" + line + "\n" + good) }
        }
        expect("no example") { _ = try readLines("\n\n") }
        expect("no file") {
            _ = try RagExample.read(jsonLines: URL(fileURLWithPath: "/nowhere/set.jsonl"))
        }
        let place = try TemporaryDirectory()
        let file = try place.write([0x7B, 0xC0, 0x7D], to: "set.jsonl")
        expect("UTF-8") { _ = try RagExample.read(jsonLines: file) }
    }
}
