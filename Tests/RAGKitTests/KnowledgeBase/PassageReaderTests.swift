import Foundation
import Testing

@testable import RAGKit

/// A file, and what reading it gives.
private struct Sample: CustomTestStringConvertible, Sendable {
    var name: String
    var bytes: [UInt8]
    var reader: PassageReader
    /// Title and text of each document.
    var expected: [[String]]
    /// Line, distance from the start of the file, and a part of the reason.
    var fault: (line: Int, byte: Int, says: String)?
    var testDescription: String { name }

    static func good(
        _ name: String, _ text: String, _ reader: PassageReader = tsv, _ expected: [[String]]
    ) -> Sample {
        Sample(name: name, bytes: Array(text.utf8), reader: reader, expected: expected)
    }

    /// A file with one bad row, and what is read if it is skipped.
    static func bad(
        _ name: String, _ text: [UInt8], _ reader: PassageReader, at line: Int, _ byte: Int,
        says: String, rest: [[String]]
    ) -> Sample {
        Sample(
            name: name, bytes: text, reader: reader, expected: rest, fault: (line, byte, says))
    }
}

private let tsv = PassageReader(format: .tsv)
private let csv = PassageReader(format: .csv)
private let jsonl = PassageReader(format: .jsonl)
private let pandas = PassageReader(format: .tsv, pandasQuoting: true)

private let goodSamples: [Sample] = [
    .good("tsv", "A\tx y\nB\tz\n", tsv, [["A", "x y"], ["B", "z"]]),
    .good("tsv, no line end", "A\tx\nB\tz", tsv, [["A", "x"], ["B", "z"]]),
    .good("tsv, CRLF", "A\tx\r\nB\tz\r\n", tsv, [["A", "x"], ["B", "z"]]),
    .good("tsv, byte order mark", "\u{FEFF}A\tx\n", tsv, [["A", "x"]]),
    .good("tsv, tab in the text", "A\tx\ty\n", tsv, [["A", "x\ty"]]),
    .good(
        "tsv, quotes are plain", "\"A\t\"x\"\"\nB\"\t\"\n", tsv,
        [["\"A", "\"x\"\""], ["B\"", "\""]]),
    .good("tsv, NaN is a text", "NA\tnan\n", tsv, [["NA", "nan"]]),
    .good("tsv, empty title and text", "\tx\nA\t\n", tsv, [["", "x"], ["A", ""]]),
    .good("tsv, blank lines", "\n\nA\tx\n\n\nB\ty\n\n", tsv, [["A", "x"], ["B", "y"]]),
    .good("tsv, header", "title\ttext\nA\tx\n", tsv, [["A", "x"]]),
    .good("tsv, header with id", "id\ttitle\ttext\n7\tA\tx\ty\n", tsv, [["A", "x\ty"]]),
    .good("tsv, text first", "text\ttitle\nx\tA\n", tsv, [["A", "x"]]),
    .good(
        "tsv, header said to be absent", "title\ttext\nA\tx\n",
        PassageReader(format: .tsv, header: .absent), [["title", "text"], ["A", "x"]]),
    .good(
        "tsv, only texts", "text\nx\n", PassageReader(format: .tsv, header: .present), [["", "x"]]),
    .good("tsv, NUL and emoji", "A\0\t👩‍🚀é\u{301}\n", tsv, [["A\0", "👩‍🚀é\u{301}"]]),
    .good("csv", "A,x\nB,\"y, \"\"z\"\"\nw\"\n", csv, [["A", "x"], ["B", "y, \"z\"\nw"]]),
    .good("csv, CRLF", "A,\"x\"\r\n\"B\",y\r\n", csv, [["A", "x"], ["B", "y"]]),
    .good("csv, CRLF in quotes", "A,\"x\r\ny\"\r\n", csv, [["A", "x\r\ny"]]),
    .good("csv, empty fields", ",\n\"\",\"\"\n", csv, [["", ""], ["", ""]]),
    .good("csv, header and more columns", "url,title,text\nu,A,x\n", csv, [["A", "x"]]),
    .good("csv, no line end", "A,\"x\"", csv, [["A", "x"]]),
    .good(
        "jsonl",
        #"{"title":"A","text":"x\n\u00e9","n":[1,{"a":null}]}"# + "\n\n" + #"{"text":"y"}"#,
        jsonl, [["A", "x\né"], ["", "y"]]),
    .good("jsonl, null title", #"{"text":"y","title":null,"id":5}"#, jsonl, [["", "y"]]),
]

private let badSamples: [Sample] = [
    .bad(
        "tsv, no tab", Array("A\tx\nB\nC\tz".utf8), tsv, at: 2, 4, says: "found 1 column",
        rest: [["A", "x"], ["C", "z"]]),
    .bad(
        "tsv, no tab in the first row", Array("A\nB\ty\n".utf8), tsv, at: 1, 0,
        says: "found 1 column", rest: [["B", "y"]]),
    .bad(
        "tsv, spaces instead of tabs", Array("A  x\nB\ty".utf8), tsv, at: 1, 0, says: "1 column",
        rest: [["B", "y"]]),
    .bad(
        "tsv, invalid UTF-8", Array("A\tx\nB\té".utf8) + [0xC3, 0x28] + Array("z\nC\tw\n".utf8),
        tsv,
        at: 2, 8, says: "UTF-8", rest: [["A", "x"], ["C", "w"]]),
    .bad(
        "tsv, cut off character", Array("A\tx\nB\ty".utf8) + [0xE2, 0x82], tsv, at: 2, 7,
        says: "UTF-8", rest: [["A", "x"]]),
    .bad(
        "tsv, lone CR", Array("A\tx\rB\ty\nC\tz\n".utf8), tsv, at: 1, 3, says: "carriage return",
        rest: [["C", "z"]]),
    .bad(
        "tsv, header with id, two columns", Array("id\ttitle\ttext\n1\tA\n2\tB\ty\n".utf8), tsv,
        at: 2, 14, says: "3 columns expected (id, title, text), found 2", rest: [["B", "y"]]),
    .bad(
        "csv, quote never closed", Array("A,x\nB,\"y\nC,z\n".utf8), csv, at: 2, 6,
        says: "never closed", rest: [["A", "x"], ["C", "z"]]),
    .bad(
        "csv, quote in a plain field", Array("A,x\"y\"\nB,z\n".utf8), csv, at: 1, 3,
        says: "inside a plain field", rest: [["B", "z"]]),
    .bad(
        "csv, text after a quote", Array("A,\"x\"y\nB,z\n".utf8), csv, at: 1, 5,
        says: "after a closing quote", rest: [["B", "z"]]),
    .bad(
        "csv, one column", Array("A\nB,z\n".utf8), csv, at: 1, 0, says: "1 column",
        rest: [["B", "z"]]),
    .bad(
        "csv, three columns", Array("A,x,y\nB,z\n".utf8), csv, at: 1, 0, says: "3 columns",
        rest: [["B", "z"]]),
    .bad(
        "csv, lone CR", Array("A,x\ry\nB,z\n".utf8), csv, at: 1, 3, says: "carriage return",
        rest: [["B", "z"]]),
    .bad(
        "csv, invalid UTF-8", Array("A,x\nB,\"y".utf8) + [0xFF] + Array("\"\nC,z".utf8), csv,
        at: 2, 8, says: "UTF-8", rest: [["A", "x"], ["C", "z"]]),
    .bad(
        "jsonl, no object", Array("[1]\n{\"text\":\"y\"}\n".utf8), jsonl, at: 1, 0,
        says: "expected '{'", rest: [["", "y"]]),
    .bad(
        "jsonl, no text", Array("{\"text\":\"y\"}\n{\"title\":\"A\"}\n".utf8), jsonl, at: 2, 13,
        says: "no 'text'", rest: [["", "y"]]),
    .bad(
        "jsonl, null text", Array("{\"text\":\"y\"}\n{\"text\":null}\n".utf8), jsonl, at: 2, 21,
        says: "expected a string", rest: [["", "y"]]),
    .bad(
        "jsonl, text twice", Array("{\"text\":\"y\",\"text\":\"z\"}\n{\"text\":\"w\"}".utf8), jsonl,
        at: 1, 12, says: "twice", rest: [["", "w"]]),
    .bad(
        "jsonl, cut off", Array("{\"text\":\"y\"}\n{\"text\":\"z".utf8), jsonl, at: 2, 21,
        says: "without end", rest: [["", "y"]]),
    .bad(
        "jsonl, invalid UTF-8",
        Array("{\"text\":\"".utf8) + [0x80] + Array("\"}\n{\"text\":\"y\"}".utf8),
        jsonl, at: 1, 9, says: "UTF-8", rest: [["", "y"]]),
]

@Suite(.tags(.files)) struct PassageReaderTests {
    @Test(arguments: goodSamples)
    fileprivate func reads(_ sample: Sample) throws {
        let folder = try TemporaryDirectory()
        let url = try folder.write(sample.bytes, to: "file")
        let (documents, report) = try sample.reader.read(url)
        #expect(documents.map { [$0.title, $0.text] } == sample.expected)
        #expect(report.rows == sample.expected.count)
        #expect(report.badRows == 0)
    }

    @Test(arguments: badSamples)
    fileprivate func refuses(_ sample: Sample) throws {
        let folder = try TemporaryDirectory()
        let url = try folder.write(sample.bytes, to: "file")
        let expected = try #require(sample.fault)
        let error = try #require(throws: KnowledgeBaseError.self) {
            try sample.reader.read(url)
        }
        guard case .badRow(let file, let line, let byte, let reason) = error else {
            Issue.record("\(error)")
            return
        }
        #expect(file == url.path && line == expected.line && byte == expected.byte)
        #expect(reason.contains(expected.says), "\(reason)")

        var skipping = sample.reader
        skipping.onBadRow = .skip
        let (documents, report) = try skipping.read(url)
        #expect(documents.map { [$0.title, $0.text] } == sample.expected)
        #expect(report.rows == sample.expected.count + 1)
        #expect(report.badRows == 1 && report.firstBadRows == [error])
    }

    @Test func countsBlankLinesAndNamesDocuments() throws {
        let folder = try TemporaryDirectory()
        let url = try folder.write("\nA\tx\n\r\n\nB\ty\n".utf8, to: "kb.tsv")
        let (documents, report) = try PassageReader().read(url)
        #expect(report.blankLines == 3)
        #expect(documents.map(\.id) == ["kb.tsv:2", "kb.tsv:5"])
        let named = try folder.write("id\ttitle\ttext\nq-1\tA\tx\n".utf8, to: "named.tsv")
        #expect(try PassageReader().read(named).documents.map(\.id) == ["q-1"])
        let json = try folder.write(#"{"id":"a","text":"x"}"#.utf8, to: "kb.jsonl")
        #expect(try PassageReader().read(json).documents.map(\.id) == ["a"])
    }

    @Test(
        arguments: [
            [], Array("\n\n".utf8), Array("title\ttext\n".utf8), [0xEF, 0xBB, 0xBF],
        ] as [[UInt8]])
    func refusesFilesWithoutRows(bytes: [UInt8]) throws {
        let folder = try TemporaryDirectory()
        let url = try folder.write(bytes, to: "kb.tsv")
        let error = #expect(throws: KnowledgeBaseError.self) { try PassageReader().read(url) }
        guard case .noPassages = error else {
            Issue.record("\(String(describing: error))")
            return
        }
    }

    @Test func recognisesWrongFiles() throws {
        let folder = try TemporaryDirectory()
        for (bytes, says) in [([0xFF, 0xFE, 0x41, 0], "UTF-16"), ([0x1F, 0x8B, 8, 0], "gzip")]
            as [([UInt8], String)]
        {
            let url = try folder.write(bytes, to: "kb.tsv")
            let error = #expect(throws: KnowledgeBaseError.self) { try PassageReader().read(url) }
            #expect(error?.description.contains(says) == true)
        }
        let headless = try folder.write("a\tb\nA\tx\n".utf8, to: "kb.tsv")
        let error = #expect(throws: KnowledgeBaseError.self) {
            try PassageReader(header: .present).read(headless)
        }
        #expect(error?.description.contains("must name a column 'text'") == true)
        #expect(throws: FileError.self) { try PassageReader().read(folder.file("none.tsv")) }
    }

    /// The expected values were made by `pandas.read_csv(sep="\t", names=["title", "text"])`.
    @Test(arguments: [
        ("A\tx\nB\ty\n", [["A", "x"], ["B", "y"]]),
        ("A\t\"x y\"\n", [["A", "x y"]]),
        ("A\t\"x\nB\ty\"z\nC\tw\n", [["A", "x\nB\tyz"], ["C", "w"]]),
        ("A\tx \"y\" z\n", [["A", "x \"y\" z"]]),
        ("A\t\"x \"\"y\"\"\"\n", [["A", "x \"y\""]]),
        ("NA\tx\nB\tnull\nC\t\nD\n", [["", "x"]]),
        ("A\tx\rB\ty\r\nC\tz", [["A", "x"], ["B", "y"], ["C", "z"]]),
        ("A\t \n  \n\nB\ty\n", [["A", " "], ["B", "y"]]),
        ("title\ttext\n", [["title", "text"]]),
    ])
    func readsLikePandas(text: String, expected: [[String]]) throws {
        let folder = try TemporaryDirectory()
        let url = try folder.write(text.utf8, to: "kb.tsv")
        let documents = try pandas.read(url).documents
        #expect(documents.map { [$0.title, $0.text] } == expected)
    }

    @Test func survivesAnyBytes() throws {
        let folder = try TemporaryDirectory()
        let alphabet: [UInt8] = Array("a\t\t\n\n\r\",{}:[]\\ \"".utf8) + [0xC3, 0xA9, 0xFF, 0]
        var state: UInt64 = 1
        for _ in 0..<1500 {
            var bytes: [UInt8] = []
            for _ in 0..<40 {
                state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
                bytes.append(alphabet[Int(state >> 33) % alphabet.count])
            }
            let url = try folder.write(bytes, to: "kb")
            for reader in [tsv, csv, jsonl, pandas] {
                var reader = reader
                reader.onBadRow = .skip
                do {
                    let (documents, report) = try reader.read(url)
                    #expect(documents.count + report.badRows + report.emptyTexts == report.rows)
                } catch KnowledgeBaseError.noPassages(_, _) {
                } catch KnowledgeBaseError.badRow(_, _, _, let reason) {
                    #expect(reason.contains("UTF-16"))
                }
            }
        }
    }
}
