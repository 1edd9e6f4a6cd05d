import Foundation
import RAGKit

/// Encodes texts with the tokenizer of a Hugging Face directory, on one thread.
///
///     tokenize tokenizer-directory texts.tsv [megabytes]
///
/// The last field of each line of the file is a text. Prints a line when ready, with the number and a
/// digest of all ids, then encodes all texts once for each line `run` on standard input, until `quit`:
/// the protocol of `peers/tokenizing.py`, which asks RAGKit and the `tokenizers` library in turn.
@main
struct Tokenize {
    static func main() throws {
        let arguments = CommandLine.arguments
        guard (3...4).contains(arguments.count) else {
            FileHandle.standardError.write(
                Data("usage: tokenize tokenizer-directory texts.tsv [megabytes]\n".utf8))
            exit(2)
        }
        let limit = arguments.count == 4 ? (Double(arguments[3]) ?? 6) * 1e6 : .infinity
        let texts = try texts(of: arguments[2], limit: limit)
        let bytes = texts.reduce(0) { $0 + $1.utf8.count }
        let start = DispatchTime.now().uptimeNanoseconds
        let tokenizer = try AutoTokenizer.load(contentsOf: URL(fileURLWithPath: arguments[1]))
        let loaded = DispatchTime.now().uptimeNanoseconds

        var digest: UInt64 = 0
        var count = 0
        for text in texts {
            for id in tokenizer.encode(text).ids {
                digest = (digest ^ UInt64(UInt32(bitPattern: id))) &* 0x0000_0100_0000_01b3
                count += 1
            }
        }
        emit([
            "ready": true, "texts": .int(texts.count), "mb": .double(Double(bytes) / 1e6),
            "ids": .int(count), "digest": .string(String(digest)),
            "load_s": .double(Double(loaded - start) / 1e9),
        ])
        while let line = readLine(), line != "quit" {
            let (start, cpu) = (DispatchTime.now().uptimeNanoseconds, clock())
            var count = 0
            for text in texts { count += tokenizer.encode(text).ids.count }
            let (end, cpuEnd) = (DispatchTime.now().uptimeNanoseconds, clock())
            emit([
                "seconds": .double(Double(end - start) / 1e9), "ids": .int(count),
                "cpu_seconds": .double(Double(cpuEnd - cpu) / Double(CLOCKS_PER_SEC)),
            ])
        }
    }

    private static func texts(of path: String, limit: Double) throws -> [String] {
        var texts: [String] = []
        var bytes = 0
        let content = try String(contentsOfFile: path, encoding: .utf8)
        for line in content.utf8.split(separator: UInt8(ascii: "\n")) {
            guard let text = line.split(separator: UInt8(ascii: "\t")).last else { continue }
            texts.append(String(decoding: text, as: UTF8.self))
            bytes += text.count
            if Double(bytes) >= limit { break }
        }
        return texts
    }

    private static func emit(_ values: JSONValue) {
        print(values.text(indent: nil))
        fflush(nil)
    }
}
