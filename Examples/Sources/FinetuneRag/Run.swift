import ExampleSupport
import Foundation
import RAGKit

/// One run of the program: data, model, warm-up, training, results.
struct Run {
    let options: FinetuneRag

    /// The questions of a run.
    struct Questions {
        var train: [RagExample]
        var validation: [RagExample]
        var test: [RagExample]
    }

    func run() async throws {
        let start = Date()
        let dataDirectory = URL(fileURLWithPath: options.data.dataDir)
        let almanac = try readAlmanac(dataDirectory)
        let questions = try readQuestions(dataDirectory, almanac)
        let base = try readKnowledgeBase()
        note("\(base.count) passages, \(questions.train.count) training questions")

        let (model, context, contextTokenizer) = try makeModel(base, questions)
        try configure(model)
        if options.model.fromScratch != nil {
            try await warmUp(model, context, contextTokenizer, base, questions, almanac)
        }

        note("encoding \(base.count) passages")
        let vectors = try PassageEncoder(tokenizer: contextTokenizer).encode(base, with: context)
        model.retriever = try DenseRetriever(base, vectors: vectors)
        if options.training.end2end {
            try model.setContextEncoder(context, tokenizer: contextTokenizer)
        }

        let before = try await scores(model, questions)
        let warmUpSeconds = Date().timeIntervalSince(start)
        let profile = options.training.profile ? Profile() : nil
        let (report, refreshes) = try await withProfile(profile) {
            try await train(model, questions)
        }
        if let profile { note("\(profile.report(peak: .measured()))") }
        let after = try await scores(model, questions)
        try show(
            before, after, report, refreshes: refreshes, warmUpSeconds: warmUpSeconds,
            seconds: Date().timeIntervalSince(start))
    }

    // MARK: Data

    private func readAlmanac(_ directory: URL) throws -> Almanac? {
        let things = directory.appendingPathComponent("things.jsonl")
        guard FileManager.default.fileExists(atPath: things.path) else { return nil }
        return try Almanac(directory: directory)
    }

    private func readQuestions(_ directory: URL, _ almanac: Almanac?) throws -> Questions {
        func read(_ split: String, _ jsonName: String, _ limit: Int) throws -> [RagExample] {
            let json = directory.appendingPathComponent("\(jsonName).jsonl")
            let all =
                FileManager.default.fileExists(atPath: json.path)
                ? try RagExample.read(jsonLines: json)
                : try RagExample.read(directory: directory, split: split)
            return limit < 0 ? all : Array(all.prefix(limit))
        }
        var questions = Questions(
            train: try read("train", "train", options.data.nTrain),
            validation: try read("val", "validation", options.data.nVal),
            test: try read("test", "test", options.data.nTest))
        if let kinds = options.data.trainKinds {
            let kept = try ids(of: kinds, almanac)
            questions.train.removeAll { !($0.goldPassage.map(kept.contains) ?? false) }
        }
        return questions
    }

    /// The passages about things of the given kinds, comma-separated.
    private func ids(of kinds: String, _ almanac: Almanac?) throws -> Set<PassageID> {
        let wanted = Set(kinds.split(separator: ",").map(String.init))
        let known = Set(almanac?.things.map(\.kind) ?? [])
        guard let almanac, wanted.isSubset(of: known) else {
            throw ProgramError(
                "'\(kinds)': the kinds in things.jsonl are "
                    + (known.isEmpty ? "none" : known.sorted().joined(separator: ", ")))
        }
        return Set(almanac.things.filter { wanted.contains($0.kind) }.map(\.id))
    }

    private func readKnowledgeBase() throws -> KnowledgeBase {
        let file = URL(fileURLWithPath: options.data.csvPath)
        let (reader, splitter) = passageInput(file, words: options.data.passageWords)
        guard let output = options.training.outputDir else {
            let documents = try reader.read(file).documents
            return try KnowledgeBase(documents: documents, splitter: splitter)
        }
        let directory = URL(fileURLWithPath: output)
        try FileManager.default.createDirectory(at: directory, withIntermediateDirectories: true)
        let (base, report) = try KnowledgeBase.build(
            from: [file], reader: reader, splitter: splitter,
            at: directory.appendingPathComponent("kb"))
        note("knowledge base: \(report)")
        return base
    }

    // MARK: Model

    private func makeModel(
        _ base: KnowledgeBase, _ questions: Questions
    ) throws -> (RagModel, any TextEncoder, any Tokenizer) {
        if let size = options.model.fromScratch {
            let passages = try (0..<base.count).map { try base.passage(PassageID($0)) }
            let texts =
                passages.flatMap { [$0.title, $0.text] }
                + questions.train.flatMap { [$0.question] + $0.answers }
            let made = try makeScratchModel(
                size, texts: texts, vocabularySize: options.model.vocabSize,
                dropout: options.model.dropout, seed: options.training.seed)
            return (made.model, made.contextEncoder, made.contextTokenizer)
        }
        let path = URL(fileURLWithPath: options.model.modelNameOrPath ?? "")
        let model = try openModel(path)
        if let name = options.model.contextEncoderName {
            let source = try model.loadContextEncoder(
                from: URL(fileURLWithPath: name),
                tokenizer: options.model.contextTokenizerName.map { URL(fileURLWithPath: $0) })
            note("context tokenizer: \(source)")
        }
        guard let context = model.contextEncoder, let tokenizer = model.contextTokenizer else {
            throw ProgramError(
                "'\(path.path)' has no ctx_encoder: name one by --context-encoder-name")
        }
        // The encoder makes the index in any case; whether it is trained is said by --end2end.
        if !options.training.end2end { model.removeContextEncoder() }
        return (model, context, tokenizer)
    }

    private func configure(_ model: RagModel) throws {
        let given = options.model
        if let type = given.modelType { model.configuration.marginalization = type.marginalization }
        if let count = given.nDocs { model.configuration.nDocs = count }
        if let length = given.maxCombinedLength { model.configuration.maxCombinedLength = length }
        if let smoothing = given.labelSmoothing { model.configuration.labelSmoothing = smoothing }
        model.configuration.maxQuestionLength = given.maxSourceLength
        model.configuration.maxTargetLength = given.maxTargetLength
        model.generation.maxLength = given.maxTargetLength
        if given.compatibility == .huggingFace { model.configuration.compatibility = .huggingFace }
    }

    // MARK: Training

    private func warmUp(
        _ model: RagModel, _ context: any TextEncoder, _ contextTokenizer: any Tokenizer,
        _ base: KnowledgeBase, _ questions: Questions, _ almanac: Almanac?
    ) async throws {
        let settings = options.warmUp
        let golden = try questions.train.compactMap { example in
            try example.goldPassage.map { (passage: try base.passage($0), example: example) }
        }
        guard !golden.isEmpty else {
            throw ProgramError(
                "the warm-up needs gold passages: 'id' in train.jsonl, the passage's line from 0")
        }
        var arguments = TrainingArguments()
        arguments.trainBatchSize = settings.warmupBatchSize
        arguments.seed = options.training.seed
        arguments.loggingSteps = 1
        if settings.warmupRetrieverSteps > 0 {
            arguments.maxSteps = settings.warmupRetrieverSteps
            arguments.learningRate = settings.warmupRetrieverLearningRate
            let task = try InBatchNegativesTask(
                questionEncoder: model.questionEncoder, questionTokenizer: model.questionTokenizer,
                contextEncoder: context, contextTokenizer: contextTokenizer)
            let pairs = try warmUpPairs(golden, base, almanac)
            try await trainShowingProgress(task, on: pairs, "warm-up, encoders", arguments)
        }
        guard settings.warmupReaderSteps > 0 else { return }
        arguments.maxSteps = settings.warmupReaderSteps
        arguments.learningRate = settings.warmupReaderLearningRate
        arguments.warmupSteps = min(100, settings.warmupReaderSteps / 10)
        let examples: [ReadingTask.Example] =
            almanac.map { $0.questions.map { .rewritable($0) } }
            ?? golden.map { .fixed($0.passage, $0.example) }
        let words = Set(
            try (0..<base.count).flatMap { place in
                let passage = try base.passage(PassageID(place))
                return (passage.title + " " + passage.text).split(separator: " ").map(String.init)
            })
        let task = ReadingTask(
            model, almanac: almanac, words: words.sorted(),
            copyingSteps: settings.warmupReaderSteps * 3 / 20,
            growingSteps: settings.warmupReaderSteps * 2 / 5, seed: options.training.seed)
        try await trainShowingProgress(task, on: examples, "warm-up, reader", arguments)
    }

    /// The pairs that the encoders are warmed up on, of the kinds asked for.
    ///
    /// With an almanac, every pair is a question and its passage with name and facts exchanged, so
    /// that what is learnt is to match names, for all things of the kind; else gold questions, and
    /// titles and sentences of the passages themselves.
    private func warmUpPairs(
        _ golden: [(passage: Passage, example: RagExample)], _ base: KnowledgeBase,
        _ almanac: Almanac?
    ) throws -> [InBatchNegativesTask.Pair] {
        let settings = options.warmUp
        var random = SeededGenerator(seed: options.training.seed)
        guard let almanac else {
            let passages = try (0..<base.count).map { try base.passage(PassageID($0)) }
            return clozePairs(passages, using: &random)
                + golden.map { .init(question: $0.example.question, passage: $0.passage) }
        }
        let kept = try settings.warmupKinds.map { try ids(of: $0, almanac) }
        return almanac.pairs(
            settings.warmupRetrieverSteps * settings.warmupBatchSize, using: &random
        ) { kept?.contains(PassageID($0.thing)) ?? true }
    }

    private func train(
        _ model: RagModel, _ questions: Questions
    ) async throws -> (report: Trainer<RagTrainingTask>.Report, refreshes: Int) {
        let output = options.training.outputDir.map { URL(fileURLWithPath: $0) }
        var evaluator = RagEvaluator()
        evaluator.batchSize = options.training.evalBatchSize
        let every = options.training.indexingFreq
        let schedule: RefreshSchedule =
            switch (options.training.end2end, options.training.backgroundIndexing) {
            case (false, _): .never
            case (true, false): .blocking(every: every)
            case (true, true): .background(every: every)
            }
        let task = try RagTrainingTask(
            model, validation: questions.validation, evaluator: evaluator, refresh: schedule,
            store: try output.map {
                try IndexStore(directory: $0.appendingPathComponent("index"))
            })
        let metrics = try output.map {
            try MetricsFile($0.appendingPathComponent("metrics.jsonl"))
        }
        let report = try await trainShowingProgress(
            task, on: questions.train, "train", options.training.arguments,
            callbacks: metrics.map { [$0] } ?? [])
        return (report, task.refresher?.reports.count ?? 0)
    }

    // MARK: Results

    /// Scores on training and on test questions.
    private func scores(
        _ model: RagModel, _ questions: Questions
    ) async throws -> (train: RagScores, test: RagScores) {
        var evaluator = RagEvaluator()
        evaluator.batchSize = options.training.evalBatchSize
        let limit = options.data.nTest
        let train = limit < 0 ? questions.train : Array(questions.train.prefix(limit))
        return (
            try await evaluator.scores(of: model, on: train),
            try await evaluator.scores(of: model, on: questions.test)
        )
    }

    private func show(
        _ before: (train: RagScores, test: RagScores),
        _ after: (train: RagScores, test: RagScores), _ report: Trainer<RagTrainingTask>.Report,
        refreshes: Int, warmUpSeconds: Double, seconds: Double
    ) throws {
        let rows: [(String, RagScores)] = [
            ("train questions, before", before.train), ("train questions, after", after.train),
            ("test questions, before", before.test), ("test questions, after", after.test),
        ]
        guard !options.json else {
            var result: JSONValue = [
                "steps": .int(report.steps), "refreshes": .int(refreshes),
                "seconds": .double(seconds), "warm_up_seconds": .double(warmUpSeconds),
                "train_seconds": .double(report.seconds), "peak_mib": .double(peakMemoryMiB()),
                "end2end": .bool(options.training.end2end),
            ]
            for (name, scores) in rows {
                let key = name.replacing(" questions, ", with: "_")
                var values: JSONValue = ["count": .int(scores.count)]
                for (metric, value) in scores.metrics.sorted(by: { $0.key < $1.key }) {
                    values[metric] = .double(value)
                }
                result[key] = values
            }
            print(result.text())
            return
        }
        let metrics = ["em", "f1", "recall@1", "recall@5"]
        print(
            table(
                ["", "questions", "EM", "F1", "recall@1", "recall@5"],
                rows.map { name, scores in
                    [name, "\(scores.count)"] + metrics.map { rounded(scores.metrics[$0] ?? 0) }
                }))
        print(
            """

            \(report.steps) steps, \(refreshes) index refreshes; \
            \(rounded(seconds)) s in all, of which training \(rounded(report.seconds)) s; \
            peak memory \(Int(peakMemoryMiB())) MiB
            """)
    }
}
