import Foundation
import Testing

@testable import RAGKit

@Suite(.tags(.files)) struct GoldFileTests {
    /// Values that Python's `ast.literal_eval` gives.
    @Test func pythonLists() {
        let cases: [(String, [String]?)] = [
            ("['a']", ["a"]), ("[\"it's\", 'say \"x\"']", ["it's", "say \"x\""]),
            (" [ 'a' , 'b' , ] ", ["a", "b"]), ("[]", []),
            (
                "['it\\'s', 'a\\\\b', 'tab\\t', '\\x41\\u00e9\\U0001F600', '\\q']",
                ["it's", "a\\b", "tab\t", "Aé😀", "\\q"]
            ),
            ("['a' 'b']", nil), ("['a'", nil), ("'a'", nil), ("['a'] x", nil), ("[a]", nil),
            ("['a\\x4']", nil), ("", nil), ("['a\\uD800']", nil),
        ]
        for (source, expected) in cases {
            #expect(PythonList.texts(source[...]) == expected, "\(source)")
        }
    }

    @Test func formats() throws {
        let folder = try TemporaryDirectory()
        let questions = folder.file("questions")
        let gold = folder.file("gold")
        try "who?\nwhat?\n".write(to: questions, atomically: true, encoding: .utf8)
        func read(_ text: String, _ format: GoldFormat) throws -> [[String]] {
            try text.write(to: gold, atomically: true, encoding: .utf8)
            return try RagExample.read(questions: questions, gold: gold, format: format)
                .map(\.answers)
        }
        #expect(try read("a b\nc", .ans) == [["a b"], ["c"]])
        #expect(try read("t1\tt2\nt3", .titles) == [["t1", "t2"], ["t3"]])
        #expect(try read("who?\t['x', 'y']\nwhat?\t[\"z\"]", .qa) == [["x", "y"], ["z"]])
        for (text, format, says) in [
            ("a", .ans, "'\(questions.path)' has 2 lines, '\(gold.path)' 1"),
            ("a\nb\nc", .ans, "'\(questions.path)' has 2 lines, '\(gold.path)' 3"),
            ("a\n", .titles, "'\(questions.path)' has 2 lines, '\(gold.path)' 1"),
            ("who?\t['x']\nwhat?", .qa, "\(gold.path):2: "),
            ("who?\tx\nwhat?\t['z']", .qa, "\(gold.path):1: "),
            ("who?\t['x']\nwhat?\t[]", .qa, "\(gold.path):2: "),
        ] as [(String, GoldFormat, String)] {
            let error = #expect(throws: DatasetError.self) { _ = try read(text, format) }
            #expect(error?.description.hasPrefix(says) == true, "\(error?.description ?? "none")")
        }
        let missing = folder.file("none")
        #expect(throws: DatasetError.missingFile(missing.path)) {
            _ = try RagExample.read(questions: questions, gold: missing, format: .ans)
        }
    }
}
