import Foundation
import RAGKit

#if canImport(Glibc)
    import Glibc
#endif

/// One end-to-end training step on the token ids that `peers/trainstep.py --export` wrote.
///
///     train-step work.json small-model
///
/// Prints a line when ready, then makes one timed step for each line `run` on standard input, until
/// `quit`: the protocol of `peers/trainstep.py --serve`, so that one driver can interleave the two.
@main
struct TrainStep {
    static func main() throws {
        let arguments = CommandLine.arguments
        guard arguments.count == 3 else {
            FileHandle.standardError.write(
                Data("usage: train-step work.json model-directory\n".utf8))
            exit(2)
        }
        let step = try Step(
            work: URL(fileURLWithPath: arguments[1]), model: URL(fileURLWithPath: arguments[2]))
        let reference = try step.lossWithoutDropout()
        _ = try step.run()  // warm-up
        emit([
            "ready": true, "loss_without_dropout": .double(reference),
            "loss_of_the_reference": .double(step.expectedLoss),
        ])
        while let line = readLine() {
            switch line {
            case "run": emit(try step.run())
            case "quit": return
            default: emit(["error": .string("unknown command '\(line)'; known are run and quit")])
            }
        }
    }

    private static func emit(_ values: JSONValue) {
        var values = values
        values["bench"] = "trainstep"
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

/// The model and the batch of the step.
final class Step {
    private let model: RagModel
    private let questions: TokenBatch
    private let targets: TokenBatch
    private let evidence: Evidence
    private let optimizer: AdamW
    private let parameters: [Parameter]
    private let maxGradNorm: Double
    let expectedLoss: Double

    init(work: URL, model directory: URL) throws {
        let json = try JSONValue(contentsOf: work)
        func sequences(_ key: String) throws -> [[Int32]] {
            var rows: [[Int32]] = []
            for row in try json.array(key) ?? [] {
                var ids: [Int32] = []
                for id in row.arrayValue ?? [] { ids.append(Int32(id.intValue ?? 0)) }
                rows.append(ids)
            }
            return rows
        }
        expectedLoss = try json.double("loss_without_dropout") ?? .nan
        maxGradNorm = try json.double("max_grad_norm") ?? 1
        let documents = try json.int("documents") ?? 5

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
        try model.setContextEncoder(
            DPREncoder(
                contentsOf: directory.appendingPathComponent("ctx_encoder"), role: .context))
        model.setContextEncoderTokenizer(pieces)
        model.configuration.compatibility = .huggingFace

        questions = TokenBatch(try sequences("questions"))
        targets = TokenBatch(try sequences("targets"))
        evidence = Evidence(
            documents: documents, contexts: TokenBatch(try sequences("contexts")),
            contextEncoderInputs: TokenBatch(try sequences("passages")))
        parameters = model.parameters()
        var settings = AdamW.Settings()
        settings.weightDecay = 0.001
        settings.decay = .excludingNames(["bias", "LayerNorm.weight"])
        optimizer = AdamW(model.namedParameters(), settings)
    }

    func lossWithoutDropout() throws -> Double {
        try ForwardContext.$current.withValue(.inference) { Double(try batchLoss().item()) }
    }

    /// One step: forward, backward, clip, update (with learning rate 0, as the peer's).
    func run() throws -> JSONValue {
        let start = DispatchTime.now().uptimeNanoseconds
        let context = ForwardContext(isTraining: true, seed: 1)
        var middle = start
        var value: Float = 0
        let gradients = try ForwardContext.$current.withValue(context) { () throws -> Gradients in
            let sum = try batchLoss()
            value = sum.item()
            middle = DispatchTime.now().uptimeNanoseconds
            return RAGKit.gradients(of: sum, for: parameters)
        }
        let backward = DispatchTime.now().uptimeNanoseconds
        let scale = min(1, maxGradNorm / (gradients.norm + 1e-6))
        optimizer.update(gradients, learningRate: 0, gradientScale: Float(scale))
        let end = DispatchTime.now().uptimeNanoseconds
        func seconds(_ from: UInt64, _ to: UInt64) -> JSONValue { .double(Double(to - from) / 1e9) }
        return [
            "seconds": seconds(start, end), "forward_s": seconds(start, middle),
            "backward_s": seconds(middle, backward), "optimizer_s": seconds(backward, end),
            "loss": .double(Double(value)),
        ]
    }

    private func batchLoss() throws -> Tensor {
        let vectors = model.questionEncoder(questions)
        return try model.loss(vectors: vectors, evidence: evidence, targets: targets).sum
    }
}
