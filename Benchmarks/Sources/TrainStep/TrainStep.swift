import BenchmarkSupport
import Foundation
@_spi(Benchmarks) import RAGKit

/// One end-to-end training step on the token ids that `peers/trainstep.py --export` wrote.
///
///     train-step work.json small-model [precision]
///
/// Prints a line when ready, then makes one timed step for each line `run` on standard input (with
/// `profile`, one that also says on standard error where the time went), until `quit`: the protocol of `peers/trainstep.py --serve`, so that one driver can interleave the two.
@main
struct TrainStep {
    static func main() async throws {
        let (work, model) = workAndModel("train-step")
        let step = try Step(work: work, model: model)
        let reference = try step.lossWithoutDropout()
        _ = try step.run()  // warm-up
        emit([
            "ready": true, "loss_without_dropout": .double(reference),
            "loss_of_the_reference": .double(step.expectedLoss),
        ])
        while let line = readLine() {
            switch line {
            case "run": emit(try step.run())
            case "profile": emit(try await step.profile())
            case "quit": return
            default:
                emit(["error": .string("unknown command '\(line)'; known: run, profile, quit")])
            }
        }
    }

    private static func emit(_ values: JSONValue) { BenchmarkSupport.emit("trainstep", values) }
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
    private let precision = precisionArgument()
    let expectedLoss: Double

    init(work: URL, model directory: URL) throws {
        let json = try JSONValue(contentsOf: work)
        expectedLoss = try json.double("loss_without_dropout") ?? .nan
        maxGradNorm = try json.double("max_grad_norm") ?? 1
        let documents = try json.int("documents") ?? 5

        let tokenizer: any Tokenizer
        (model, tokenizer) = try modelWithoutTokenizers(directory)
        try model.setContextEncoder(
            DPREncoder(
                contentsOf: directory.appendingPathComponent("ctx_encoder"), role: .context),
            tokenizer: tokenizer)

        questions = try json.sequences("questions")
        targets = try json.sequences("targets")
        evidence = Evidence(
            documents: documents, contexts: try json.sequences("contexts"),
            contextEncoderInputs: try json.sequences("passages"))
        parameters = model.parameters()
        var settings = AdamW.Settings()
        settings.weightDecay = 0.001
        settings.decay = .excludingNames(["bias", "LayerNorm.weight"])
        optimizer = AdamW(model.namedParameters(), settings)
    }

    func lossWithoutDropout() throws -> Double {
        try withInference { Double(try batchLoss().item()) }
    }

    /// One step: forward, backward, clip, update (with learning rate 0, as the peer's).
    func run() throws -> JSONValue {
        let start = DispatchTime.now().uptimeNanoseconds
        let context = ForwardContext(
            isTraining: true, seed: 1, precision: precision,
            profile: ForwardContext.current.profile)
        var middle = start
        var value: Float = 0
        let gradients = try withForwardContext(context) { () throws -> Gradients in
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

    /// A step whose operators are counted.
    func profile() async throws -> JSONValue {
        var (result, report) = try await profiled { try run() }
        result["gflop"] = .double(report.rows.reduce(0) { $0 + $1.operations } * 1e-9)
        result["peak_gflops"] = .double(report.peak?.gflops ?? 0)
        return result
    }

    private func batchLoss() throws -> Tensor {
        let vectors = model.questionEncoder(questions)
        return try model.loss(vectors: vectors, evidence: evidence, targets: targets).sum
    }
}
