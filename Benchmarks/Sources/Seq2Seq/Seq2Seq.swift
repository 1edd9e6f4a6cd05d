import BenchmarkSupport
import Foundation
import RAGKit

/// Beam search of BART alone, from the token ids that `peers/seq2seq.py --export` wrote.
///
///     seq2seq work.json model [precision]
///
/// Prints a line when ready, then encodes and decodes once for each line `run` on standard input (with
/// `profile`, once more to say on standard error where the time went), until `quit`.
@main
struct Seq2Seq {
    static func main() async throws {
        let (work, directory) = workAndModel("seq2seq")
        let json = try JSONValue(contentsOf: work)
        let sources = try json.sequences("sources")
        let config = try JSONValue(contentsOf: directory.appendingPathComponent("config.json"))
        let bart = BartGenerator(configuration: try BartConfiguration(json: config))
        try bart.load(ModelWeights(directory: directory))
        var settings = GenerationConfiguration()
        settings.numBeams = try json.int("num_beams") ?? 4
        settings.maxNewTokens = try json.int("new_tokens") ?? 20
        settings.minNewTokens = settings.maxNewTokens
        let precision = precisionArgument()
        func run() throws -> [[Int32]] {
            try withPrecision(precision) {
                let memory = withInference { bart.encode(sources) }
                return try bart.generate(
                    memory, attending: (0..<sources.count).map { [$0] }, settings
                ).map { $0[0].tokenIDs }
            }
        }
        _ = try run()  // warm-up
        emit("seq2seq", ["ready": true])
        while let line = readLine(), line != "quit" {
            if line == "profile" { _ = try await profiled { try run() } }
            var ids: [[Int32]] = []
            let seconds = try ContinuousClock().measure { ids = try run() } / .seconds(1)
            emit(
                "seq2seq",
                [
                    "seconds": .double(seconds),
                    "ids": .array(ids.map { .array($0.map { .int(Int($0)) }) }),
                ])
        }
    }
}
