import Foundation
import Testing

@testable import RAGKit

/// An index of shards that must be refused: what it says, and what its error says.
private struct BadIndex: CustomTestStringConvertible, Sendable {
    var name: String
    var index: String
    var says: String
    var testDescription: String { name }
}

private let badIndexes: [BadIndex] = [
    BadIndex(
        name: "outside", index: #"{"weight_map":{"a":"../secret.safetensors"}}"#,
        says: "no name of a file"),
    BadIndex(
        name: "absolute", index: #"{"weight_map":{"a":"/etc/passwd"}}"#, says: "no name of a file"),
    BadIndex(
        name: "folder", index: #"{"weight_map":{"a":"sub/one.safetensors"}}"#,
        says: "no name of a file"),
    BadIndex(
        name: "backslash", index: #"{"weight_map":{"a":"..\\one.safetensors"}}"#,
        says: "no name of a file"),
    BadIndex(name: "dots", index: #"{"weight_map":{"a":".."}}"#, says: "no name of a file"),
    BadIndex(name: "empty", index: #"{"weight_map":{"a":""}}"#, says: "no name of a file"),
    BadIndex(
        name: "NUL", index: #"{"weight_map":{"a":"one.safetensors\u0000"}}"#,
        says: "no name of a file"),
    BadIndex(
        name: "link", index: #"{"weight_map":{"a":"link.safetensors"}}"#, says: "symbolic link"),
    BadIndex(
        name: "missing", index: #"{"weight_map":{"a":"none.safetensors"}}"#,
        says: "none.safetensors"),
    BadIndex(
        name: "other ending", index: #"{"weight_map":{"a":"model.safetensors.index.json"}}"#,
        says: "neither"),
    BadIndex(
        name: "two owners",
        index: #"{"weight_map":{"a":"one.safetensors","b":"two.safetensors"}}"#,
        says: "'shared' lies in two files, one.safetensors and two.safetensors"),
    BadIndex(
        name: "elsewhere",
        index:
            #"{"weight_map":{"a":"one.safetensors","c":"three.safetensors","x":"one.safetensors"}}"#,
        says: "'x' in one.safetensors"),
    BadIndex(
        name: "swapped", index: #"{"weight_map":{"a":"three.safetensors","c":"one.safetensors"}}"#,
        says: "'a' in three.safetensors"),
    BadIndex(name: "no map", index: #"{"metadata":{}}"#, says: "weight_map"),
    BadIndex(name: "empty map", index: #"{"weight_map":{}}"#, says: "weight_map"),
    BadIndex(name: "number", index: #"{"weight_map":{"a":3}}"#, says: "'a'"),
    BadIndex(name: "map is an array", index: #"{"weight_map":[]}"#, says: "weight_map"),
    BadIndex(
        name: "repeated key",
        index: #"{"weight_map":{"a":"one.safetensors","a":"three.safetensors"}}"#, says: "twice"),
    BadIndex(name: "no JSON", index: "{", says: "JSON"),
]

@Suite(.tags(.files)) struct ShardTests {
    private func folder() throws -> TemporaryDirectory {
        let folder = try TemporaryDirectory()
        let one = Tensor([1], shape: [1])
        try WeightWriter.write([("a", one), ("shared", one)], to: folder.file("one.safetensors"))
        try WeightWriter.write([("b", one), ("shared", one)], to: folder.file("two.safetensors"))
        try WeightWriter.write([("c", one)], to: folder.file("three.safetensors"))
        try FileManager.default.createSymbolicLink(
            at: folder.file("link.safetensors"), withDestinationURL: folder.file("one.safetensors"))
        return folder
    }

    @Test(arguments: badIndexes) private func refuses(_ bad: BadIndex) throws {
        let folder = try folder()
        try folder.write(Array(bad.index.utf8), to: "model.safetensors.index.json")
        let error = #expect(throws: (any Error).self) {
            _ = try ModelWeights(directory: folder.url)
        }
        #expect(
            "\(error.map { "\($0)" } ?? "")".contains(bad.says), "\(error.map { "\($0)" } ?? "")")
    }

    @Test func acceptsWhatIsRight() throws {
        let folder = try folder()
        let index =
            #"{"weight_map":{"a":"one.safetensors","c":"three.safetensors","shared":"one.safetensors"}}"#
        try folder.write(Array(index.utf8), to: "model.safetensors.index.json")
        #expect(try ModelWeights(directory: folder.url).names == ["a", "shared", "c"])
    }
}
