import ArgumentParser
import ExampleSupport
import RAGKit

@main
struct Marge: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "marge",
        abstract: "Learns to find related documents by reconstructing each from the others.",
        discussion: """
            Trains a MARGE model from scratch on the bundled almanac, in which every thing is
            described twice, in two wordings without a sentence in common:

              marge --data-dir Examples/Almanac

            Nobody tells the model which documents belong together. It puts documents of one kind
            into batches by its own measure, reconstructs each from those of the other wording, and
            is rewarded for giving weight to the one that helps: the true sibling.

            Things held out are never trained on. The table shows, over the steps, the loss of
            reconstructing their documents (nats a token) from the sibling and other documents of the
            kind, weighed by relevance; the same with all weighed alike; and without any; and how
            often the sibling is the nearest of all documents of the other wording. Standard error
            has the progress.
            """)

    @Option(help: "The almanac's directory.")
    var dataDir: String

    @Option(help: "Optimizer steps.")
    var maxSteps = 600

    @Option(help: "Steps at the start that only repeat lists of words, to learn to copy.")
    var copyingSteps = 150

    @Option(help: "Optimizer steps between two measurements.")
    var evalSteps = 100

    @Option(help: "Optimizer steps between two rebuilds of the batches.")
    var rebuildSteps = 50

    @Option(help: "Things of a kind in a shard, each described twice.")
    var shardSize = 6

    @Option(help: "Documents reconstructed in a batch.")
    var targets = 3

    @Option(help: "Nearest documents that each of them brings into its batch.")
    var neighbours = 1

    @Option(help: "Batches in an optimizer step.")
    var trainBatchSize = 6

    @Option(help: "The peak learning rate.")
    var learningRate = 2e-3

    @Option(help: "Vocabulary entries of the tokenizer.")
    var vocabSize = 4000

    @Option(help: "The width of the model.")
    var width = 128

    @Option(help: "Layers of the encoder.")
    var encoderLayers = 2

    @Option(help: "After how many of them documents are compared.")
    var relevanceLayers = 1

    @Option(help: "Layers at the decoder's base that do not read evidence.")
    var baseLayers = 1

    @Option(help: "Layers of the decoder that read evidence.")
    var decoderLayers = 2

    @Option(help: "What relevance is multiplied by at first.")
    var relevanceScale: Float = 300

    @Option(help: "Of random initial weights and the order of batches.")
    var seed: UInt64 = 42

    @Flag(help: "Print one JSON object with the results instead of a table.")
    var json = false

    func validate() throws {
        guard maxSteps >= 1, evalSteps >= 1, rebuildSteps >= 1, shardSize >= 2, targets >= 1,
            neighbours >= 1,
            trainBatchSize >= 1, copyingSteps >= 0, vocabSize >= 300,
            baseLayers >= 0, decoderLayers >= 1
        else { throw ValidationError("counts are at least 1 (--base-layers at least 0)") }
        guard width >= 4, width.isMultiple(of: 4) else {
            throw ValidationError("--width is a multiple of 4")
        }
        guard (1...max(1, encoderLayers)).contains(relevanceLayers), encoderLayers >= 1 else {
            throw ValidationError("--relevance-layers is at least 1, at most --encoder-layers")
        }
    }

    func run() async throws {
        try await reporting("marge") { try await Run(options: self).run() }
    }
}
