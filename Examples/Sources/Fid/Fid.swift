import ArgumentParser
import ExampleSupport
import RAGKit

@main
struct Fid: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "fid",
        abstract: "Fusion-in-decoder beside RAG-token: the same start, the same budget.",
        discussion: """
            Makes one small model from scratch on the bundled almanac and warms it up: the encoders
            to find a question's passage, the generator to answer from one passage. Then two copies
            of it are trained for as many steps on the same questions: as RAG-token, which reads each
            passage by itself and weighs the answers by the passages' scores, and as
            fusion-in-decoder, which reads all passages at once.

              fid --data-dir Examples/Almanac

            Standard output has the exact match and F1 of both on test questions, before, between and after;
            standard error the progress.
            """)

    @Option(help: "The almanac's directory.")
    var dataDir: String

    @Option(help: "Kinds of things to ask about, comma-separated; a reader of few learns sooner.")
    var kinds = "element,country"

    @Option(help: "How many passages are read for a question.")
    var nDocs = 2

    @Option(help: "Warm-up steps of the encoders.")
    var warmupRetrieverSteps = 300

    @Option(help: "Warm-up steps of the generator.")
    var warmupReaderSteps = 1600

    @Option(help: "Questions in a step of either warm-up.")
    var warmupBatchSize = 24

    @Option(help: "The peak learning rate of the generator's warm-up; the encoders take half.")
    var warmupLearningRate = 1e-3

    @Option(help: "Optimizer steps of each of the two models after the warm-up.")
    var maxSteps = 100

    @Option(help: "Questions in a step.")
    var trainBatchSize = 8

    @Option(help: "The peak learning rate after the warm-up.")
    var learningRate = 5e-5

    @Option(help: "Test on the first so many questions; negative for all.")
    var nTest = 200

    @Option(help: "Of weights, order and rewriting.")
    var seed: UInt64 = 42

    @Flag(help: "Print one JSON object with the results instead of a table.")
    var json = false

    func validate() throws {
        guard nDocs >= 1, warmupRetrieverSteps >= 1, warmupReaderSteps >= 1, warmupBatchSize >= 1,
            maxSteps >= 1, trainBatchSize >= 1
        else { throw ValidationError("counts are at least 1") }
    }

    func run() async throws {
        try await reporting("fid") { try await Run(options: self).run() }
    }
}
