import BenchmarkSupport
import Foundation
import RAGKit

/// Generation from the token ids that `peers/generate.py --export` wrote.
///
///     generate work.json model [precision]
///
/// Prints a line when ready, then makes one timed run for each line `run token` or `run sequence` on
/// standard input, until `quit`: the protocol of `peers/generate.py --serve`, so that one driver can
/// interleave the two.
@main
struct Generate {
    static func main() async throws {
        let (work, model) = workAndModel("generate")
        let batch = try Batch(work: work, model: model)
        _ = try batch.run(.token)  // warm-up
        emit(["ready": true])
        while let line = readLine() {
            switch line {
            case "run token": emit(try batch.run(.token))
            case "profile token": _ = try await profiled { try batch.run(.token) }
            case "profile sequence": _ = try await profiled { try batch.run(.sequence) }
            case "run sequence": emit(try batch.run(.sequence))
            case "quit": return
            default:
                emit([
                    "error": .string(
                        "unknown command '\(line)'; known: run and profile, of token and sequence")
                ]
                )
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
            let vectors = ForwardContext.$current.withValue(.inference) {
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
