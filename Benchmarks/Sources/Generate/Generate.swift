import Foundation
import RAGKit

#if canImport(Glibc)
    import Glibc
#endif

/// Generation from the token ids that `peers/generate.py --export` wrote.
///
///     generate work.json model
///
/// Prints a line when ready, then makes one timed run for each line `run token` or `run sequence` on
/// standard input, until `quit`: the protocol of `peers/generate.py --serve`, so that one driver can
/// interleave the two.
@main
struct Generate {
    static func main() throws {
        let arguments = CommandLine.arguments
        guard arguments.count == 3 else {
            FileHandle.standardError.write(
                Data("usage: generate work.json model-directory\n".utf8))
            exit(2)
        }
        let batch = try Batch(
            work: URL(fileURLWithPath: arguments[1]), model: URL(fileURLWithPath: arguments[2]))
        _ = try batch.run(.token)  // warm-up
        emit(["ready": true])
        while let line = readLine() {
            switch line {
            case "run token": emit(try batch.run(.token))
            case "run sequence": emit(try batch.run(.sequence))
            case "quit": return
            default:
                emit(["error": .string("unknown command '\(line)'; known: run token, run sequence")]
                )
            }
        }
    }

    private static func emit(_ values: JSONValue) {
        var values = values
        values["bench"] = "generate"
        values["peak_rss_mb"] = .double(peakMegabytes())
        print(values.text(indent: nil))
        fflush(nil)
    }

    private static func peakMegabytes() -> Double {
        var usage = rusage()
        #if os(Linux)
            getrusage(__rusage_who_t(RUSAGE_SELF.rawValue), &usage)
            return Double(usage.ru_maxrss) / 1024
        #else
            getrusage(RUSAGE_SELF, &usage)
            return Double(usage.ru_maxrss) / 1_048_576
        #endif
    }
}

/// The model and the questions.
final class Batch {
    private let model: RagModel
    private let questions: TokenBatch
    private let evidence: Evidence

    init(work: URL, model directory: URL) throws {
        let json = try JSONValue(contentsOf: work)
        func sequences(_ key: String) throws -> [[Int32]] {
            try (json.array(key) ?? []).map { row in
                (row.arrayValue ?? []).map { Int32($0.intValue ?? 0) }
            }
        }
        let scores = try (json.array("scores") ?? []).map { row in
            (row.arrayValue ?? []).map { Float($0.doubleValue ?? 0) }
        }
        // Token ids are given, so the tokenizers only have to be there.
        let pieces = try WordPieceTrainer(vocabularySize: 100).train(on: ["nothing to tokenize"])
        let bytes = try ByteBPETrainer(vocabularySize: 300).train(on: ["nothing to tokenize"])
        let config = try JSONValue(contentsOf: directory.appendingPathComponent("config.json"))
        let encoder = try DPRConfiguration(role: .question, json: config["question_encoder"] ?? [:])
        let generator = try BartConfiguration(json: config["generator"] ?? [:])
        model = try RagModel(
            questionEncoder: DPREncoder(configuration: encoder), questionTokenizer: pieces,
            generator: BartGenerator(configuration: generator), generatorTokenizer: bytes,
            configuration: RagConfiguration(json: config))
        try model.load(ModelWeights(directory: directory))
        model.configuration.compatibility = .huggingFace
        model.configuration.doDeduplication = false
        model.generation.numBeams = try json.int("num_beams") ?? 4
        model.generation.maxLength = try json.int("max_length") ?? 20
        questions = TokenBatch(try sequences("questions"))
        evidence = Evidence(contexts: TokenBatch(try sequences("contexts")), scores: scores)
    }

    func run(_ kind: Marginalization) throws -> JSONValue {
        model.configuration.marginalization = kind
        let start = DispatchTime.now().uptimeNanoseconds
        let vectors = ForwardContext.$current.withValue(.inference) {
            model.questionEncoder(questions)
        }
        let found = try model.hypotheses(vectors: vectors, evidence: evidence)
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
