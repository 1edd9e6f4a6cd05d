import ExampleSupport
import Foundation
import RAGKit

/// One run of the program.
struct Evaluation {
    let options: EvalRag

    private var huggingFace: Bool { options.model.compatibility == .huggingFace }
    private var isRetrieval: Bool { options.data.evalMode == .retrieval }
    private var cutoffs: [Int] { Set([1, 5, options.data.k]).sorted() }

    func run() async throws {
        let examples = try readExamples()
        let root = URL(fileURLWithPath: options.model.modelNameOrPath)
        var results: [(checkpoint: String, scores: Scores, seconds: Double)] = []
        for checkpoint in try checkpoints(root) {
            let start = Date()
            let predictions = try await predictions(of: checkpoint, examples, root)
            guard predictions.count == examples.count else {
                throw ProgramError(
                    "'\(file(checkpoint, root).path)' has \(predictions.count) predictions for "
                        + "\(examples.count) questions: give --recalculate")
            }
            predictions.forEach(log)
            results.append(
                (checkpoint.path, scores(predictions, examples), Date().timeIntervalSince(start)))
        }
        show(results, count: examples.count)
    }

    /// Without gold data there are none.
    private func scores(_ predictions: [Prediction], _ examples: [RagExample]) -> Scores {
        guard options.data.goldDataPath != nil else { return Scores() }
        return isRetrieval
            ? Scores(titles: predictions, of: examples, k: options.data.k, cutoffs: cutoffs)
            : Scores(answers: predictions, to: examples, cutoffs: cutoffs)
    }

    /// The checkpoints to evaluate: the one named, or all below it.
    private func checkpoints(_ root: URL) throws -> [URL] {
        guard options.model.evalAllCheckpoints else { return [root] }
        let names: [String]
        do {
            names = try FileManager.default.contentsOfDirectory(atPath: root.path)
        } catch {
            throw ProgramError("'\(root.path)' cannot be listed: name a directory of checkpoints")
        }
        let found = names.sorted { $0.localizedStandardCompare($1) == .orderedAscending }
            .map { root.appendingPathComponent($0) }
            .filter {
                FileManager.default.fileExists(
                    atPath: $0.appendingPathComponent("config.json").path)
            }
        guard !found.isEmpty else {
            throw ProgramError("'\(root.path)' holds no checkpoint, a folder with config.json")
        }
        return found
    }

    /// Each checkpoint has a predictions' file of its own.
    private func file(_ checkpoint: URL, _ root: URL) -> URL {
        let file = URL(fileURLWithPath: options.predictionsPath)
        guard options.model.evalAllCheckpoints else { return file }
        let name = file.deletingPathExtension().lastPathComponent
        let ending = file.pathExtension.isEmpty ? "jsonl" : file.pathExtension
        return file.deletingLastPathComponent()
            .appendingPathComponent("\(name)-\(checkpoint.lastPathComponent).\(ending)")
    }

    private func readExamples() throws -> [RagExample] {
        let questions = URL(fileURLWithPath: options.data.evaluationSet)
        // Without gold data the questions stand in, and no score is shown.
        let gold = options.data.goldDataPath.map { URL(fileURLWithPath: $0) } ?? questions
        let format: GoldFormat =
            options.data.goldDataPath == nil
            ? .ans : isRetrieval ? .titles : options.data.goldDataMode == .qa ? .qa : .ans
        return try RagExample.read(questions: questions, gold: gold, format: format)
    }

    // MARK: Predictions

    private func predictions(
        of checkpoint: URL, _ examples: [RagExample], _ root: URL
    ) async throws -> [Prediction] {
        let file = file(checkpoint, root)
        if !options.recalculate, FileManager.default.fileExists(atPath: file.path) {
            note("'\(file.path)' is there and is only scored; --recalculate answers again")
            return try Prediction.read(file)
        }
        let model = try options.model.source(checkpoint).open(huggingFace: huggingFace)
        if let comparison = options.search.sequenceDecoding {
            model.configuration.sequenceDecoding = comparison.decoding
        }
        if let count = options.search.nDocs { model.configuration.nDocs = count }
        model.generation = options.search.settings(
            over: model.generation, huggingFace: huggingFace)
        var predictions: [Prediction] = []
        let size = options.search.evalBatchSize
        for first in stride(from: 0, to: examples.count, by: size) {
            try Task.checkCancellation()
            let batch = examples[first..<min(first + size, examples.count)].map(\.question)
            predictions += try await predict(batch, model)
            note("\(predictions.count) of \(examples.count) questions")
        }
        let lines = predictions.map { $0.json.text(indent: nil) + "\n" }
        try AtomicFile.write(lines.joined(), to: file)
        return predictions
    }

    private func predict(_ questions: [String], _ model: RagModel) async throws -> [Prediction] {
        let wanted = max(model.configuration.nDocs, cutoffs.last ?? 1)
        let found = try await model.retrieve(questions, count: wanted)
        guard !isRetrieval else {
            return zip(questions, found.passages).map { Prediction(question: $0, found: $1) }
        }
        let answers = try await model.answer(
            questions, count: model.configuration.nDocs, passages: found)
        return zip(answers, found.passages).map { Prediction($0, found: $1) }
    }

    private func log(_ prediction: Prediction) {
        if options.printPredictions {
            note("Q: \(prediction.question)\nA: \(prediction.text ?? "-")")
        }
        if options.printDocs {
            for passage in prediction.passages {
                note("  \(rounded(passage.score))  \(passage.title): \(passage.text)")
            }
        }
    }

    // MARK: Results

    private func show(
        _ results: [(checkpoint: String, scores: Scores, seconds: Double)], count: Int
    ) {
        guard options.json else {
            let names = results.first?.scores.metrics.map(\.name) ?? []
            print(
                table(
                    ["checkpoint", "questions", "seconds"] + names,
                    results.map { result in
                        [result.checkpoint, "\(count)", rounded(result.seconds)]
                            + result.scores.metrics.map { rounded($0.value) }
                    }))
            return
        }
        let objects = results.map { result in
            var json: JSONValue = [
                "checkpoint": .string(result.checkpoint), "questions": .int(count),
                "seconds": .double(result.seconds),
            ]
            for (name, value) in result.scores.metrics { json[name] = .double(value) }
            return json
        }
        // One object, also for several checkpoints.
        let all: JSONValue =
            options.model.evalAllCheckpoints
            ? ["checkpoints": .array(objects)] : objects.first ?? [:]
        print(all.text())
    }
}
