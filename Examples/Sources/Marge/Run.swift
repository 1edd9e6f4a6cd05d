import ExampleSupport
import Foundation
import RAGKit

/// One run of the program, from reading the documents to the table of results.
struct Run {
    let options: Marge

    func run() async throws {
        let start = Date()
        let corpus = try Corpus(
            directory: URL(fileURLWithPath: options.dataDir),
            vocabularySize: options.vocabSize, shardSize: options.shardSize)
        var configuration = MargeConfiguration(vocabularySize: corpus.vocabularySize)
        configuration.width = options.width
        configuration.feedForward = 4 * options.width
        configuration.decoderFeedForward = 4 * options.width
        configuration.encoderLayers = options.encoderLayers
        configuration.relevanceLayers = options.relevanceLayers
        configuration.baseLayers = options.baseLayers
        configuration.decoderLayers = options.decoderLayers
        configuration.relevanceScale = options.relevanceScale
        configuration.maxTokens = corpus.maxTokens
        let model = MargeModel(configuration)
        var random = SeededGenerator(seed: options.seed)
        model.initialize(using: &random)
        note("\(model.parameterCount) parameters")

        let task = MargeTask(
            model,
            batcher: MargeBatcher(
                targetsPerBatch: options.targets, neighbours: options.neighbours),
            rebuildSteps: options.rebuildSteps, seed: options.seed
        ) { step, random in
            step < options.copyingSteps
                ? corpus.newLists(using: &random) : corpus.newDocuments(using: &random)
        }
        task.measure = { corpus.measure(model) }
        let before = corpus.measure(model)

        var arguments = TrainingArguments()
        arguments.learningRate = options.learningRate
        arguments.warmupSteps = options.maxSteps / 10
        arguments.maxSteps = options.maxSteps
        // The usual 0.999 remembers more steps than this run has.
        arguments.adamw.beta2 = 0.98
        arguments.trainBatchSize = options.trainBatchSize
        arguments.evalSteps = options.evalSteps
        arguments.seed = options.seed
        let trainer = try Trainer(task, examples: task.examples, arguments: arguments)
        trainer.callbacks = [ProgressBar()]
        let report = try await trainer.fit()
        show([(0, before)] + report.evaluations, model, seconds: Date().timeIntervalSince(start))
    }

    private func show(
        _ rows: [(step: Int, metrics: [String: Double])], _ model: MargeModel, seconds: Double
    ) {
        let scales = model.decoder.map { Double($0.scale.value.item()) }
        guard !options.json else {
            let result: JSONValue = [
                "rows": .array(
                    rows.map { step, metrics in
                        var row: JSONValue = ["step": .int(step)]
                        for name in Corpus.metrics { row[name] = metrics[name].map { .double($0) } }
                        return row
                    }),
                "relevance_scales": .array(scales.map { .double($0) }),
                "seconds": .double(seconds), "peak_mib": .double(peakMemoryMiB()),
            ]
            return print(result.text())
        }
        print(
            table(
                ["step", "loss", "weighed alike", "no evidence", "sibling %", "held out %"],
                rows.map { step, metrics in
                    ["\(step)"] + Corpus.metrics.map { rounded(metrics[$0] ?? 0) }
                }))
        print(
            """

            relevance is multiplied by \(scales.map(rounded).joined(separator: ", ")); \
            \(rounded(seconds)) s in all; peak memory \(Int(peakMemoryMiB())) MiB
            """)
    }
}
