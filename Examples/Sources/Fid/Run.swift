import ArgumentParser
import ExampleSupport
import Foundation
import RAGKit

/// One run of the program: a warm-up, two ways on from there, and the table of results.
struct Run {
    let options: Fid

    func run() async throws {
        let start = Date()
        let directory = URL(fileURLWithPath: options.dataDir)
        let almanac = try Almanac(directory: directory)
        let documents = try PassageReader(format: .tsv)
            .read(directory.appendingPathComponent("passages.tsv")).documents
        let base = try KnowledgeBase(documents: documents, splitter: PassageSplitter())
        let questions = try chosen(almanac)
        let training = questions.map(\.example)
        let all = try chosen(Almanac(directory: directory, split: "test")).map(\.example)
        let test = options.nTest < 0 ? all : Array(all.prefix(options.nTest))

        let (model, context, tokenizer) = try makeScratchModel(
            .tiny,
            texts: documents.flatMap { [$0.title, $0.text] }
                + training.flatMap { [$0.question] + $0.answers },
            vocabularySize: 8000, dropout: 0, seed: options.seed)
        model.configuration.nDocs = options.nDocs
        func encodeBase() throws {
            note("encoding \(base.count) passages")
            model.retriever = try DenseRetriever(
                base, vectors: PassageEncoder(tokenizer: tokenizer).encode(base, with: context))
        }
        try encodeBase()
        var rows = try await results(model, FusionInDecoder(rag: model), test, "random weights")
        try await warmUp(model, context, tokenizer, almanac, questions, documents.map(\.text))
        try encodeBase()

        // Two models that begin with the same values and go their own ways.
        let rag = try model.snapshot()
        let fusion = FusionInDecoder(rag: try model.snapshot())
        rows += try await results(rag, fusion, test, "after the warm-up")
        let ragSeconds = try await train(RagTrainingTask(rag), training, "RAG-token")
        let fusionSeconds = try await train(FusionTask(fusion), training, "fusion-in-decoder")
        rows += try await results(rag, fusion, test, "in the end")
        rows[rows.count - 2].seconds = ragSeconds
        rows[rows.count - 1].seconds = fusionSeconds
        show(rows, seconds: Date().timeIntervalSince(start))
    }

    private func results(
        _ rag: RagModel, _ fusion: FusionInDecoder, _ test: [RagExample], _ when: String
    ) async throws -> [Row] {
        var evaluator = RagEvaluator()
        evaluator.cutoffs = [options.nDocs]
        return [
            Row("RAG-token, \(when)", try await evaluator.scores(of: rag, on: test)),
            Row("fusion-in-decoder, \(when)", try await fusion.scores(on: test)),
        ]
    }

    /// The questions about the kinds asked for.
    private func chosen(_ almanac: Almanac) throws -> [Almanac.Question] {
        let wanted = Set(options.kinds.split(separator: ",").map(String.init))
        let known = Set(almanac.things.map(\.kind))
        guard !wanted.isEmpty, wanted.isSubset(of: known) else {
            throw ValidationError(
                "--kinds '\(options.kinds)': the kinds are \(known.sorted().joined(separator: ", "))"
            )
        }
        return almanac.questions.filter { wanted.contains(almanac.things[$0.thing].kind) }
    }

    /// Teaches the encoders to find a question's passage, and the generator to read: one passage, and
    /// several as fusion-in-decoder does.
    private func warmUp(
        _ model: RagModel, _ context: any TextEncoder, _ tokenizer: any Tokenizer,
        _ almanac: Almanac, _ questions: [Almanac.Question], _ texts: [String]
    ) async throws {
        var arguments = TrainingArguments()
        arguments.trainBatchSize = options.warmupBatchSize
        arguments.seed = options.seed
        arguments.learningRate = options.warmupLearningRate / 2
        arguments.maxSteps = options.warmupRetrieverSteps
        var random = SeededGenerator(seed: options.seed)
        let asked = Set(questions.map(\.thing))
        let pairs = almanac.pairs(
            options.warmupRetrieverSteps * options.warmupBatchSize, using: &random
        ) { asked.contains($0.thing) }
        try await trainShowingProgress(
            InBatchNegativesTask(
                questionEncoder: model.questionEncoder, questionTokenizer: model.questionTokenizer,
                contextEncoder: context, contextTokenizer: tokenizer),
            on: pairs, "warm-up, encoders", arguments)

        arguments.learningRate = options.warmupLearningRate
        arguments.warmupSteps = min(100, options.warmupReaderSteps / 10)
        arguments.maxSteps = options.warmupReaderSteps
        let words = Set(texts.flatMap { $0.split(separator: " ").map(String.init) })
        let reading = ReadingTask(
            model, almanac: almanac, words: words.sorted(),
            copyingSteps: options.warmupReaderSteps * 3 / 20,
            growingSteps: options.warmupReaderSteps * 2 / 5, seed: options.seed)
        try await trainShowingProgress(
            FusionReadingTask(reading, FusionInDecoder(rag: model)),
            on: questions.map { .rewritable($0) }, "warm-up, reader", arguments)
    }

    private func train<Objective: TrainingTask>(
        _ task: Objective, _ examples: [Objective.Example], _ title: String
    ) async throws -> Double {
        var arguments = TrainingArguments()
        arguments.learningRate = options.learningRate
        arguments.maxSteps = options.maxSteps
        arguments.trainBatchSize = options.trainBatchSize
        // The retriever is the same for both.
        if task is RagTrainingTask { arguments.frozen = ["question_encoder"] }
        arguments.seed = options.seed
        return try await trainShowingProgress(task, on: examples, title, arguments).seconds
    }

    // MARK: Results

    private struct Row {
        var name: String
        var scores: RagScores
        var seconds: Double?

        init(_ name: String, _ scores: RagScores) {
            self.name = name
            self.scores = scores
        }
    }

    private func show(_ rows: [Row], seconds: Double) {
        guard !options.json else {
            var result: JSONValue = [
                "seconds": .double(seconds), "peak_mib": .double(peakMemoryMiB()),
            ]
            for row in rows {
                let key = row.name.replacing(/[^a-zA-Z]+/, with: "_").lowercased()
                result[key] = [
                    "count": .int(row.scores.count), "em": .double(row.scores.exactMatch),
                    "f1": .double(row.scores.f1),
                    "train_seconds": row.seconds.map { .double($0) } ?? .null,
                ]
            }
            return print(result.text())
        }
        print(
            table(
                ["", "questions", "EM", "F1", "seconds"],
                rows.map { row in
                    [
                        row.name, "\(row.scores.count)", rounded(row.scores.exactMatch),
                        rounded(row.scores.f1), row.seconds.map(rounded) ?? "",
                    ]
                }))
        let recall = rounded(rows[2].scores.recall[options.nDocs] ?? 0)
        print(
            """

            \(options.maxSteps) steps each; \(recall)% of the questions have their passage among \
            the \(options.nDocs) read; \(rounded(seconds)) s in all
            """)
    }
}

extension FusionInDecoder {
    /// Exact match and F1 in percent.
    func scores(on examples: [RagExample], batchSize: Int = 32) async throws -> RagScores {
        var answers: [String] = []
        for first in stride(from: 0, to: examples.count, by: batchSize) {
            let batch = examples[first..<min(first + batchSize, examples.count)]
            answers += try await answer(batch.map(\.question))
        }
        return RagScores(answers: answers, to: examples)
    }
}
