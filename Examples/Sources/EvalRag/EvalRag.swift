import ArgumentParser
import ExampleSupport
import Foundation
import RAGKit

@main
struct EvalRag: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "eval-rag",
        abstract: "Measures a retrieval-augmented generator on a set of questions.",
        discussion: """
            e2e answers the questions and gives EM and F1 (the best over a question's answers) and
            recall@k: the share of questions with an answer among the words of the first k passages.
            retrieval compares titles: precision@k is the share of the first k that are gold,
            recall@k the share of questions with a gold title among the first k.

              eval-rag --model-name-or-path golden/rag --csv-path golden/kb.tsv \\
                --context-encoder-name golden/ctx_encoder --evaluation-set questions.txt \\
                --gold-data-path answers.txt --gold-data-mode ans --json

            Standard output has the results, standard error the progress.
            """)

    @OptionGroup(title: "Model and passages") var model: ModelOptions
    @OptionGroup(title: "Questions") var data: DataOptions
    @OptionGroup(title: "Answers") var search: SearchOptions

    @OptionGroup var products: PrecisionOptions

    @Option(help: "Where predictions go, one JSON object a line.")
    var predictionsPath = "predictions.jsonl"

    @Flag(help: "Answer again also where the predictions are there; else they are only scored.")
    var recalculate = false

    @Flag(help: "Log each question with its answer.")
    var printPredictions = false

    @Flag(help: "Log the passages of each question.")
    var printDocs = false

    @Flag(help: "Print one JSON object with the metrics instead of a table.")
    var json = false

    func run() async throws {
        try await reporting("eval-rag") {
            try await withPrecision(products.precision) {
                try await Evaluation(options: self).run()
            }
        }
    }
}

struct ModelOptions: ParsableArguments {
    @Option(help: "A RAG checkpoint directory; with --eval-all-checkpoints, a directory of them.")
    var modelNameOrPath: String

    @Flag(help: "Evaluate every checkpoint directly below --model-name-or-path.")
    var evalAllCheckpoints = false

    @Option(help: "rag_token or rag_sequence. [the checkpoint's own]")
    var modelType: ModelType?

    @OptionGroup var passages: PassageOptions

    @Option(help: "better, or hugging-face: number for number what the reference does.")
    var compatibility: CompatibilityPreset = .better

    func source(_ checkpoint: URL) -> ModelSource {
        var source = passages.source(checkpoint)
        source.marginalization = modelType?.marginalization
        return source
    }
}

enum EvaluationMode: String, ExpressibleByArgument { case e2e, retrieval }

enum GoldDataMode: String, ExpressibleByArgument { case qa, ans }

struct DataOptions: ParsableArguments {
    @Option(help: "Questions, one a line.")
    var evaluationSet: String

    @Option(help: "Gold data, a line for each question. [without it, answers are only written]")
    var goldDataPath: String?

    @Option(help: "qa: question, tab, Python list of answers; ans: one answer.")
    var goldDataMode: GoldDataMode = .qa

    @Option(help: "e2e: EM and F1 of answers; retrieval: titles, tab-separated in the gold file.")
    var evalMode: EvaluationMode = .e2e

    @Option(help: "The k of precision@k; recall is given at 1, 5 and k.")
    var k = 1

    func validate() throws {
        guard k >= 1 else { throw ValidationError("--k is at least 1") }
        guard evalMode == .e2e || goldDataPath != nil else {
            throw ValidationError("--eval-mode retrieval needs --gold-data-path")
        }
    }
}

struct SearchOptions: ParsableArguments {
    @Option(help: "How many documents are read for a question. [the checkpoint's own]")
    var nDocs: Int?

    @Option(help: "Questions answered at a time.")
    var evalBatchSize = 8

    @Option(help: "Sequences followed at once.")
    var numBeams = 4

    @Option(help: "The fewest tokens of an answer, start token included.")
    var minLength = 1

    @Option(help: "The most tokens of an answer, start token included.")
    var maxLength = 50

    @Option(help: "The power of the length that scores are divided by. [the checkpoint's own]")
    var lengthPenalty: Float?

    @Option(help: "No run of so many tokens comes twice. [the checkpoint's own]")
    var noRepeatNgramSize: Int?

    @Option(help: "RAG-sequence: thorough or fast comparison of candidates. [the checkpoint's own]")
    var sequenceDecoding: Comparison?

    func validate() throws {
        guard nDocs ?? 1 >= 1, evalBatchSize >= 1, numBeams >= 1, minLength >= 0, maxLength >= 1
        else {
            throw ValidationError(
                "--n-docs, --eval-batch-size, --num-beams and --max-length are at least 1")
        }
    }

    /// The checkpoint's settings with those of the command line.
    func settings(over usual: GenerationConfiguration, huggingFace: Bool)
        -> GenerationConfiguration
    {
        var settings = usual
        settings.numBeams = numBeams
        settings.minLength = minLength
        settings.maxLength = maxLength
        settings.maxNewTokens = nil
        settings.earlyStopping = .heuristic
        settings.numReturnSequences = 1
        settings.doSample = false
        if let lengthPenalty { settings.lengthPenalty = lengthPenalty }
        if let noRepeatNgramSize { settings.noRepeatNgramSize = noRepeatNgramSize }
        // The reference's way to keep BART from writing <s><s>.
        if huggingFace { settings.badWordsIDs = [[0, 0]] }
        return settings
    }
}

enum Comparison: String, ExpressibleByArgument {
    case thorough, fast

    var decoding: SequenceDecoding { self == .fast ? .fast : .thorough }
}
