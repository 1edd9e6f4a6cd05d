import BenchmarkSupport
import Foundation
import RAGKit

/// Clipping and AdamW on parameters of the shapes that `peers/optimizer.py` has.
///
///     optimizer work.json
///
/// Prints a line when ready, then makes one update for each line `run` on standard input, until
/// `quit`.
@main
struct OptimizerBenchmark {
    static func main() throws {
        guard CommandLine.arguments.count == 2 else {
            FileHandle.standardError.write(Data("usage: optimizer work.json\n".utf8))
            exit(2)
        }
        let work = try JSONValue(contentsOf: URL(fileURLWithPath: CommandLine.arguments[1]))
        let parameters = try (work.array("shapes") ?? []).map { shape in
            let parameter = Parameter(
                (shape.arrayValue ?? []).map { $0.intValue ?? 0 }, .constant(0.02))
            var unused = SeededGenerator(seed: 1)
            parameter.initialize(using: &unused)
            return parameter
        }
        var gradients = Gradients()
        for parameter in parameters {
            let value = Tensor.full(parameter.shape, 0.01)
            gradients.add(
                RAGKit.gradients(of: (parameter.tensor * value).sum(), for: [parameter]))
        }
        var settings = AdamW.Settings()
        settings.weightDecay = 0.001
        settings.decay = .all
        let optimizer = AdamW(parameters.map { ("", $0) }, settings)
        func run() {
            let scale = min(1, 1e9 / (gradients.norm + 1e-6))
            optimizer.update(gradients, learningRate: 1e-4, gradientScale: Float(scale))
        }
        func value() -> JSONValue {
            .double(Double(parameters.last?.value.elements.first ?? .nan))
        }
        run()  // warm-up: makes the moments
        emit("optimizer", ["ready": true, "value": value()])
        while let line = readLine(), line != "quit" {
            let seconds = ContinuousClock().measure { run() } / .seconds(1)
            emit("optimizer", ["seconds": .double(seconds), "value": value()])
        }
    }
}
