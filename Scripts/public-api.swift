// Prints every public declaration in a folder of symbol graphs, a line each, sorted:
//
//     swift Scripts/public-api.swift FOLDER
//
// A line is the path and the declaration, so that any change of the API changes a line.
import Foundation

struct Graph: Decodable {
    struct Symbol: Decodable {
        struct Kind: Decodable { var identifier: String }
        struct Identifier: Decodable { var precise: String }
        struct Fragment: Decodable { var spelling: String }
        var kind: Kind
        var identifier: Identifier
        var pathComponents: [String]
        var declarationFragments: [Fragment]?
    }
    var symbols: [Symbol]
}

guard CommandLine.arguments.count == 2 else {
    FileHandle.standardError.write(Data("usage: swift Scripts/public-api.swift FOLDER\n".utf8))
    exit(2)
}
let folder = URL(fileURLWithPath: CommandLine.arguments[1])
var lines: Set<String> = []
for file in try FileManager.default.contentsOfDirectory(
    at: folder, includingPropertiesForKeys: nil)
where file.lastPathComponent.hasSuffix(".symbols.json") {
    let graph = try JSONDecoder().decode(Graph.self, from: Data(contentsOf: file))
    for symbol in graph.symbols
    // What conforming to a protocol gives a type is not declared here.
    where !symbol.identifier.precise.contains("::SYNTHESIZED::") {
        let declaration = (symbol.declarationFragments ?? []).map(\.spelling).joined()
            .split(whereSeparator: \.isWhitespace).joined(separator: " ")
        let path = symbol.pathComponents.joined(separator: ".")
        lines.insert("\(path)    \(declaration)")
    }
}
print(lines.sorted().joined(separator: "\n"))
