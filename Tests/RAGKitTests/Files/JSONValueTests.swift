import Foundation
import Testing

@testable import RAGKit

@Suite(.tags(.files)) struct JSONValueTests {
    @Test func keepsUnknownKeysAndTheirOrder() throws {
        let text = """
            {
              "zeta": 1,
              "alpha": [
                1.5,
                -2,
                true,
                false,
                null
              ],
              "empty": {},
              "list": [],
              "nested": {
                "text": "a\\"\\\\\\n\\t☃ é"
              },
              "eps": 1e-12,
              "big": 12345678901234567890.0
            }
            """
        let value = try JSONValue(parsing: text)
        #expect(value.objectValue?.keys.first == "zeta")
        #expect(try JSONValue(parsing: value.text()) == value)
        #expect(value.text().hasPrefix("{\n  \"zeta\": 1,\n  \"alpha\": [\n    1.5,"))
        #expect(try value.double("eps") == 1e-12)
        #expect(value["nested"]?["text"]?.stringValue == "a\"\\\n\t☃ é")
    }

    @Test func accessorsSayWhatIsWrong() throws {
        var value: JSONValue = ["layers": 12, "rate": 0.5, "name": "x", "none": nil, "on": true]
        #expect(try value.int("layers") == 12)
        #expect(try value.double("layers") == 12)
        #expect(try value.int("none") == nil)
        #expect(try value.int("absent") == nil)
        #expect(try value.bool("on") == true)
        let wrong = JSONError.wrongType(key: "name", expected: "a whole number", found: "\"x\"")
        #expect(throws: wrong) { try value.int("name") }
        #expect(throws: JSONError.self) { try value.int("rate") }
        value["layers"] = nil
        value["more"] = [1, "a"]
        #expect(value.objectValue?.keys == ["rate", "name", "none", "on", "more"])
    }

    @Test func readsPythonsNumbers() throws {
        let value = try JSONValue(parsing: #"{"a": NaN, "b": Infinity, "c": -Infinity, "a": 2}"#)
        #expect(try value.double("b") == .infinity)
        #expect(try value.double("c") == -.infinity)
        #expect(value.objectValue?.keys == ["a", "b", "c"])
        #expect(try value.int("a") == 2)
        #expect(value.text(indent: nil) == #"{"a": 2, "b": null, "c": null}"#)
        #expect(try JSONValue(parsing: #""\ud800x""#) == "\u{FFFD}x")
        #expect(try JSONValue(parsing: #""\ud83d\ude00""#) == "😀")
        #expect(try JSONValue(parsing: #""\ud83d\u0041""#) == "\u{FFFD}A")
        #expect(
            try JSONValue(parsing: "123456789012345678901234").doubleValue == 1.2345678901234568e23)
        #expect(try JSONValue(parsing: "-9223372036854775808").intValue == .min)
    }

    @Test(arguments: [
        "NaN", "Infinity", "-Infinity", #"{"a":1,"a":1}"#, #""\ud800""#, #""\udc00\ud800""#,
    ])
    func strictRefuses(text: String) {
        #expect(throws: JSONError.self) { try JSONValue(parsing: text, dialect: .strict) }
    }

    @Test(arguments: [
        "", " ", "{", "}", "[", "]", "[1", "[1,", "[1,]", "[,1]", "{\"a\"", "{\"a\":", "{\"a\":1,}",
        "{a:1}", "{'a':1}", "\"", "\"a", "\"\\", "\"\\u", "\"\\u12\"", "\"\\x\"", "\"\n\"", "01",
        "-",
        "1.", ".5", "1e", "1e+", "+1", "0x10", "1e999", "tru", "nul", "True", "1 2", "[1] x", "//",
        "\u{FEFF}{}", "--1", "-a", "[\u{0}]", "\"\u{0}\"",
    ])
    func refusesWhatIsNotJSON(text: String) {
        #expect(throws: JSONError.self) { try JSONValue(parsing: text) }
    }

    @Test func namesLineAndColumn() throws {
        let expected = JSONError.syntax(
            file: "config.json", line: 3, column: 8, reason: "expected a value, found '}'")
        #expect(throws: expected) {
            try JSONValue(parsing: "{\n  \"é\": 1,\n  \"b\": }", file: "config.json")
        }
    }

    @Test func survivesHostileText() throws {
        for open in ["[", "{\"a\":", "[[[{\"a\":"] {
            #expect(throws: JSONError.self) {
                try JSONValue(parsing: String(repeating: open, count: 200_000))
            }
        }
        let depth = JSONScanner.maximumDepth
        let deep = String(repeating: "[", count: depth) + String(repeating: "]", count: depth)
        #expect(throws: Never.self) { try JSONValue(parsing: deep) }
        for byte in UInt8(0x80)...0xFF {
            #expect(throws: JSONError.self) {
                try [0x22, byte, 0x22].withUnsafeBytes { try JSONValue(parsing: $0, file: "x") }
            }
        }
    }

    @Test func survivesEveryChangeOfAByte() throws {
        let text = Array(#"{"a":[1,-2.5e3,"x\u00e9\n\ud83d\ude00"],"b":{"c":null,"d":true}}"#.utf8)
        for position in text.indices {
            for value in UInt8.min ... .max {
                var changed = text
                changed[position] = value
                let parsed = try? changed.withUnsafeBytes { try JSONValue(parsing: $0, file: "x") }
                if let parsed { #expect(try JSONValue(parsing: parsed.text()) == parsed) }
            }
            let cut = text[..<position]
            #expect(throws: JSONError.self) {
                try cut.withUnsafeBytes { try JSONValue(parsing: $0, file: "x") }
            }
        }
    }

    @Test func writesFilesAndCodes() throws {
        let folder = try TemporaryDirectory()
        let value: JSONValue = ["a": [1, 2.5, "x", nil, true], "b": ["c": -7]]
        try value.write(to: folder.file("a.json"))
        #expect(try JSONValue(contentsOf: folder.file("a.json"), dialect: .strict) == value)
        let data = try JSONEncoder().encode(value)
        #expect(try JSONDecoder().decode(JSONValue.self, from: data) == value)
        #expect(throws: FileError.self) {
            try JSONValue(contentsOf: folder.file("none.json"))
        }
    }
}
