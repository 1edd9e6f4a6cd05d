import BenchmarkSupport
import Foundation
@_spi(Benchmarks) import RAGKit

/// Generation from the token ids that `peers/generate.py --export` wrote.
///
///     generate work.json model [precision]
///
/// Prints a line when ready, then makes one timed run for each line `run token` or `run sequence` on
/// standard input, until `quit`: the protocol of `peers/generate.py --serve`, so that one driver can
/// interleave the two. `profile token` and `profile sequence` say on standard error where the time
/// goes.
@main
struct Generate {
    static func main() async throws {
        let (work, model) = workAndModel("generate")
        let batch = try Batch(work: work, model: model)
        _ = try batch.run(.token)  // warm-up
        emit(["ready": true])
        while let line = readLine() {
            let words = line.split(separator: " ").map(String.init)
            let kind = words.count == 2 ? Marginalization(rawValue: words[1]) : nil
            switch (words.first, kind) {
            case ("run", let kind?): emit(try batch.run(kind))
            case ("profile", let kind?): _ = try await profiled { try batch.run(kind) }
            case _ where line == "quit": return
            default:
                let known = "run and profile, each with token or sequence, and quit"
                emit(["error": .string("unknown command '\(line)'; known: \(known)")])
            }
        }
    }

    private static func emit(_ values: JSONValue) { BenchmarkSupport.emit("generate", values) }
}

/// The model and the questions.
final class Batch {
    private let model: RagModel
    private let questions: TokenBatch
    private let evidence: Evidence
    private let precision = precisionArgument()

    init(work: URL, model directory: URL) throws {
        let json = try JSONValue(contentsOf: work)
        let scores = try (json.array("scores") ?? []).map { row in
            (row.arrayValue ?? []).map { Float($0.doubleValue ?? 0) }
        }
        model = try modelWithoutTokenizers(directory).model
        model.configuration.doDeduplication = false
        model.generation.numBeams = try json.int("num_beams") ?? 4
        model.generation.maxLength = try json.int("max_length") ?? 20
        questions = try json.sequences("questions")
        evidence = Evidence(contexts: try json.sequences("contexts"), scores: scores)
    }

    func run(_ kind: Marginalization) throws -> JSONValue {
        model.configuration.marginalization = kind
        let start = DispatchTime.now().uptimeNanoseconds
        let found = try withPrecision(precision) {
            let vectors = withInference {
                model.questionEncoder(questions)
            }
            return try model.hypotheses(vectors: vectors, evidence: evidence)
        }
        let end = DispatchTime.now().uptimeNanoseconds
        let ids = found.map { list in
            JSONValue.array((list.first?.tokenIDs ?? []).map { .int(Int($0)) })
        }
        return [
            "kind": .string(kind.rawValue), "seconds": .double(Double(end - start) / 1e9),
            "ids": .array(ids),
        ]
    }
}
