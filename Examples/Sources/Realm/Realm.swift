import ArgumentParser
import ExampleSupport
import Foundation
import RAGKit

@main
struct Realm: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "realm",
        abstract: "Pre-trains REALM on hidden words, then answers questions with spans.",
        discussion: """
            Makes a model from scratch and trains it in four stages: the embedders find the passage
            a sentence was taken from; the reader learns to copy; both together fill in names and
            numbers from passages they find, never the one the text is from; and last, questions
            are answered with a span of a passage.

              realm --data-dir Examples/Almanac

            Everything is measured on things that no training text or question is about. Standard
            output has the results, standard error the progress.
            """)

    @Option(
        help: "The directory with passages.tsv, passages-b.tsv, train.jsonl and test.jsonl.")
    var dataDir: String

    @Option(help: "Vocabulary entries of the tokenizer.")
    var vocabSize = 5000

    @Option(help: "The width of encoders and reader.")
    var hiddenSize = 128

    @Option(help: "The layers of the reader; encoders have one.")
    var layers = 2

    @Option(help: "The length of the vectors.")
    var projection = 128

    @Option(help: "Documents read for a hidden span, the null document included.")
    var candidates = 4

    @Option(
        name: .customLong("marginalization"),
        help: "token or sequence: what may come from different documents.")
    var scoreUse: ScoreUse = .token

    @Option(help: "Steps of the embedders on sentences and their passages.")
    var ictSteps = 120

    @Option(help: "Steps of the reader on the passage a text was taken from.")
    var copySteps = 600

    @Option(help: "Steps of pre-training.")
    var steps = 200

    @Option(help: "Steps on questions.")
    var answerSteps = 150

    @Option(help: "Texts in a step.")
    var batchSize = 16

    @Option(help: "Optimizer steps between two index refreshes while pre-training.")
    var indexingFreq = 50

    @Option(help: "The peak learning rate of pre-training.")
    var learningRate = 5e-4

    @Option(help: "The peak learning rate of the warm starts and of the answers.")
    var warmupLearningRate = 1e-3

    @Option(help: "Texts and questions that are measured.")
    var nTest = 200

    @Option(help: "Of weights, order and hidden spans.")
    var seed: UInt64 = 42

    @Flag(help: "Print one JSON object with the results instead of tables.")
    var json = false

    func validate() throws {
        guard candidates >= 2, batchSize >= 1, indexingFreq >= 1, nTest >= 1, steps >= 1 else {
            throw ValidationError(
                "--candidates is at least 2, --batch-size, --indexing-freq, --n-test and --steps 1")
        }
        guard hiddenSize >= 4, hiddenSize % 4 == 0, layers >= 1, projection >= 1 else {
            throw ValidationError(
                "--hidden-size is a multiple of 4, --layers and --projection at least 1")
        }
    }

    func run() async throws {
        try await reporting("realm") { try await Run(options: self).run() }
    }
}

enum ScoreUse: String, ExpressibleByArgument {
    case token, sequence

    var marginalization: Marginalization { self == .token ? .token : .sequence }
}
