import ArgumentParser
import ExampleSupport
import Foundation
import RAGKit

@main
struct FinetuneRag: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "finetune-rag",
        abstract: "Fine-tunes a retrieval-augmented generator, end to end if asked.",
        discussion: """
            Reads train, val and test questions (<split>.source and <split>.target, one a line; or
            <split>.jsonl with question, answers and the passage's line as id) and a knowledge base
            (title, tab, text). Trains a checkpoint from disk, or a model made from scratch:

              finetune-rag --from-scratch tiny --data-dir Almanac --csv-path Almanac/passages.tsv \\
                --end2end --indexing-freq 100 --output-dir runs/almanac

            From scratch, a warm-up comes first: the encoders learn to find each question's gold
            passage among those of the batch, and the generator to answer from it. Where the data
            directory holds things.jsonl, as the almanac does, passages are rewritten with other
            facts at each step of the generator's warm-up, so that only reading can answer.

            Standard output has the results, standard error the progress.
            """)

    @OptionGroup(title: "Model") var model: ModelOptions
    @OptionGroup(title: "Data") var data: DataOptions
    @OptionGroup(title: "Training") var training: TrainingOptions
    @OptionGroup(title: "Warm-up of models from scratch") var warmUp: WarmUpOptions

    @Flag(help: "Print one JSON object with the results instead of a table.")
    var json = false

    func validate() throws {
        try model.validate()
        try training.validate()
    }

    func run() async throws {
        try await reporting("finetune-rag") { try await Run(options: self).run() }
    }
}

struct ModelOptions: ParsableArguments {
    @Option(help: "A RAG checkpoint directory.")
    var modelNameOrPath: String?

    @Option(help: "Make a model from scratch: tiny or small.")
    var fromScratch: ScratchSize?

    @Option(help: "rag_token or rag_sequence; of a checkpoint, its own by default.")
    var modelType: ModelType?

    @Option(help: "The directory of a context encoder; of a checkpoint, ctx_encoder by default.")
    var contextEncoderName: String?

    @Option(help: "The directory of its tokenizer, if it is elsewhere.")
    var contextTokenizerName: String?

    @Option(help: "hugging-face does number for number what the reference does.")
    var compatibility: CompatibilityPreset = .better

    @Option(help: "Vocabulary entries of each tokenizer of a model from scratch.")
    var vocabSize = 8000

    @Option(help: "Dropout of a model from scratch.")
    var dropout: Float = 0.1

    @Option(help: "How many documents are read for a question. [checkpoint's own, or 5]")
    var nDocs: Int?

    @Option(help: "The longest document with question, in tokens. [checkpoint's own, or 300]")
    var maxCombinedLength: Int?

    @Option(help: "The longest question, in tokens.")
    var maxSourceLength = 128

    @Option(help: "The longest answer, in tokens.")
    var maxTargetLength = 25

    @Option(help: "How much probability is spread over the vocabulary.")
    var labelSmoothing: Float?

    func validate() throws {
        guard (modelNameOrPath == nil) != (fromScratch == nil) else {
            throw ValidationError("give either --model-name-or-path or --from-scratch")
        }
        guard (0..<1).contains(dropout) else {
            throw ValidationError("--dropout is a rate of at least 0 and below 1")
        }
        guard nDocs ?? 1 >= 1, maxCombinedLength ?? 8 >= 8, maxSourceLength >= 4,
            maxTargetLength >= 3
        else {
            throw ValidationError(
                "--n-docs is at least 1, --max-combined-length 8, --max-source-length 4, "
                    + "--max-target-length 3")
        }
        guard (0..<1).contains(labelSmoothing ?? 0) else {
            throw ValidationError("--label-smoothing is at least 0 and below 1")
        }
    }
}

extension ScratchSize: ExpressibleByArgument {}

struct DataOptions: ParsableArguments {
    @Option(help: "The directory of train, val and test questions.")
    var dataDir: String

    @Option(help: "The knowledge base: title, tab, text, one passage or document a line.")
    var csvPath: String

    @Option(help: "Cut documents into passages of so many words; 0 keeps each line whole.")
    var passageWords = 100

    @Option(help: "Use the first so many training questions; negative for all.")
    var nTrain = -1

    @Option(help: "Validate on the first so many questions; negative for all.")
    var nVal = -1

    @Option(help: "Test on the first so many questions (of training ones as well); negative: all.")
    var nTest = 500

    @Option(help: "Kinds of things to train on, comma-separated; all by default (jsonl data only).")
    var trainKinds: String?
}

struct TrainingOptions: ParsableArguments {
    @Option(help: "Where checkpoints, index versions and metrics.jsonl go.")
    var outputDir: String?

    @Flag(help: "Train the context encoder too, and rebuild its index while training.")
    var end2end = false

    @Option(help: "Optimizer steps between two index refreshes.")
    var indexingFreq = 500

    @Flag(help: "Make the index in the background, in the time that training leaves.")
    var backgroundIndexing = false

    @Option(help: "The peak learning rate.")
    var learningRate = 5e-5

    @Option(
        help: ArgumentHelp(
            "Multiply the learning rate of parameters whose name contains a word; may be repeated.",
            valueName: "word=factor"), transform: rateFactor)
    var learningRateFactor: [AdamW.RateFactor] = []

    @Option(help: "linear, polynomial or constant.")
    var lrScheduler: Scheduler = .linear

    @Option(help: "Optimizer steps over which the learning rate rises.")
    var warmupSteps = 0

    @Option(help: "Weight decay, of weights but not of biases and norms.")
    var weightDecay: Float = 0

    @Option(help: "Added to the square root of the second moment.")
    var adamEpsilon: Float = 1e-8

    @Option(help: "How often the examples are gone through.")
    var numTrainEpochs = 3

    @Option(help: "Optimizer steps in all; replaces --num-train-epochs.")
    var maxSteps: Int?

    @Option(help: "Questions in a micro-batch.")
    var trainBatchSize = 8

    @Option(help: "Questions answered at a time when testing.")
    var evalBatchSize = 32

    @Option(help: "Micro-batches in an optimizer step.")
    var gradientAccumulationSteps = 1

    @Option(help: "The norm all gradients together are cut to.")
    var maxGradNorm = 1.0

    @Option(help: "Optimizer steps between validations; at the end only by default.")
    var evalSteps: Int?

    @Option(help: "Do not train parameters whose name contains this; may be repeated.")
    var freeze: [String] = []

    @OptionGroup var products: PrecisionOptions

    @Flag(help: "Compute activations again instead of keeping them: less memory, more time.")
    var gradientCheckpointing = false

    @Flag(help: "Print where the time of training went: phases, operators, tokens.")
    var profile = false

    @Option(help: "Of weights, order and dropout.")
    var seed: UInt64 = 42

    func validate() throws {
        guard indexingFreq >= 1 else { throw ValidationError("--indexing-freq is at least 1") }
        guard evalBatchSize >= 1 else { throw ValidationError("--eval-batch-size is at least 1") }
    }

    /// The library's settings.
    var arguments: TrainingArguments {
        var arguments = TrainingArguments()
        arguments.outputDir = outputDir.map { URL(fileURLWithPath: $0) }
        arguments.learningRate = learningRate
        arguments.lrSchedulerType = lrScheduler.schedule(peak: learningRate)
        arguments.warmupSteps = warmupSteps
        arguments.numTrainEpochs = numTrainEpochs
        arguments.maxSteps = maxSteps
        arguments.trainBatchSize = trainBatchSize
        arguments.gradientAccumulationSteps = gradientAccumulationSteps
        arguments.maxGradNorm = maxGradNorm
        arguments.adamw.weightDecay = weightDecay
        arguments.adamw.epsilon = adamEpsilon
        arguments.adamw.rateFactors = learningRateFactor
        arguments.evalSteps = evalSteps
        arguments.frozen = freeze
        arguments.seed = seed
        arguments.precision = products.precision
        arguments.gradientCheckpointing = gradientCheckpointing
        return arguments
    }
}

/// `word=factor`.
private func rateFactor(_ argument: String) throws -> AdamW.RateFactor {
    let parts = argument.split(separator: "=", maxSplits: 1).map(String.init)
    guard parts.count == 2, let factor = Double(parts[1]), factor >= 0 else {
        throw ValidationError("'\(argument)' is no word=factor, such as rag.generator=0.1")
    }
    return AdamW.RateFactor(parts[0], factor)
}

enum Scheduler: String, ExpressibleByArgument {
    case linear, polynomial, constant

    func schedule(peak: Double) -> LearningRateSchedule {
        switch self {
        case .linear: .linear
        case .constant: .constant
        case .polynomial: .polynomial(endFactor: 1e-7 / peak)
        }
    }
}

struct WarmUpOptions: ParsableArguments {
    @Option(help: "Steps of the encoders on gold passages; 0 skips them.")
    var warmupRetrieverSteps = 100

    @Option(help: "Steps of the generator on gold passages; 0 skips them.")
    var warmupReaderSteps = 2000

    @Option(help: "Warm the encoders up on these kinds only, comma-separated (jsonl data only).")
    var warmupKinds: String?

    @Option(help: "Questions in a step of either warm-up.")
    var warmupBatchSize = 32

    @Option(help: "The peak learning rate of the encoders' warm-up.")
    var warmupRetrieverLearningRate = 3e-4

    @Option(help: "The peak learning rate of the generator's warm-up.")
    var warmupReaderLearningRate = 1e-3
}
