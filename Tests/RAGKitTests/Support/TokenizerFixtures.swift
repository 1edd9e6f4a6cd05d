import Foundation

@testable import RAGKit

/// Where the files of the tokenizer tests are.
enum TokenizerFixtures {
    /// Small tokenizers of our own, with the reference's answers beside them.
    static let own = Repository.folder
        .appendingPathComponent("Tests/RAGKitTests/Fixtures/tokenizers")

    static func json<Value: Decodable>(_ url: URL, as type: Value.Type = Value.self) throws -> Value
    {
        let decoder = JSONDecoder()
        decoder.keyDecodingStrategy = .convertFromSnakeCase
        return try decoder.decode(type, from: Data(contentsOf: url))
    }

    /// Runs `body` with a new directory that is removed afterwards.
    static func withDirectory<Result>(_ body: (URL) throws -> Result) throws -> Result {
        let url = FileManager.default.temporaryDirectory
            .appendingPathComponent("ragkit-tokenizers-\(UUID().uuidString)")
        try FileManager.default.createDirectory(at: url, withIntermediateDirectories: true)
        defer { try? FileManager.default.removeItem(at: url) }
        return try body(url)
    }

    /// Writes files given by name into a new directory and loads its tokenizer.
    static func load(_ files: [String: String]) throws -> any Tokenizer {
        try withDirectory { directory in
            for (name, text) in files {
                try Data(text.utf8).write(to: directory.appendingPathComponent(name))
            }
            return try AutoTokenizer.load(contentsOf: directory)
        }
    }
}

/// SplitMix64, so that random tests repeat.
struct TokenizerTestGenerator: RandomNumberGenerator {
    var state: UInt64

    mutating func next() -> UInt64 {
        state &+= 0x9e37_79b9_7f4a_7c15
        var value = state
        value = (value ^ value >> 30) &* 0xbf58_476d_1ce4_e5b9
        value = (value ^ value >> 27) &* 0x94d0_49bb_1331_11eb
        return value ^ value >> 31
    }

    /// A string of up to `count` scalars: ASCII, white space, marks, and any other.
    mutating func string(upTo count: Int) -> String {
        var text = String.UnicodeScalarView()
        for _ in 0..<Int.random(in: 0...count, using: &self) {
            let bound: ClosedRange<UInt32> =
                switch Int.random(in: 0..<10, using: &self) {
                case 0...4: 0x61...0x7A
                case 5: 0x20...0x20
                case 6: 0...0x7F
                case 7: 0x300...0x330
                case 8: 0x80...0xFFFF
                default: 0...0x10FFFF
                }
            if let scalar = Unicode.Scalar(UInt32.random(in: bound, using: &self)) {
                text.append(scalar)
            }
        }
        return String(text)
    }
}
