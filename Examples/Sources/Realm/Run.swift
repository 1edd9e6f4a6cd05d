import ExampleSupport
import Foundation
import RAGKit

/// One run of the program: data, model, warm starts, pre-training, questions, results.
struct Run {
    let options: Realm
    let base: KnowledgeBase
    let training: [Chunk]
    let heldOut: [Chunk]
    let questions: (train: [RagExample], test: [RagExample])
    let realm: RealmModel
    let input: RealmInput
    let scorer: RelevanceScorer
    let finders: [any SpanFinder] = [NumbersAndDates(), CapitalizedRuns()]

    init(options: Realm) throws {
        self.options = options
        let directory = URL(fileURLWithPath: options.dataDir)
        let documents = try ["passages.tsv", "passages-b.tsv"].flatMap {
            try PassageReader(format: .tsv).read(directory.appendingPathComponent($0)).documents
        }
        let base = try KnowledgeBase(
            documents: documents, splitter: PassageSplitter(wordsPerPassage: nil))
        self.base = base
        questions = (
            try RagExample.read(jsonLines: directory.appendingPathComponent("train.jsonl")),
            try RagExample.read(jsonLines: directory.appendingPathComponent("test.jsonl"))
        )
        let passages = try (0..<base.count).map { try base.passage(PassageID($0)) }
        // Things that test questions are about appear in no training text.
        let tested = Set(
            try questions.test.compactMap { try $0.goldPassage.map { try base.passage($0).title } })
        let chunks = Chunk.sentences(of: passages)
        training = chunks.filter { !tested.contains($0.title) }
        heldOut = chunks.filter { tested.contains($0.title) }

        let tokenizer = try WordPieceTrainer(
            vocabularySize: options.vocabSize, minimumFrequency: 1
        ).train(on: passages.flatMap { [$0.title, $0.text] } + questions.train.map(\.question))
        var bert = BertConfiguration()
        bert.vocabSize = tokenizer.vocabularySize
        bert.hiddenSize = options.hiddenSize
        bert.numHiddenLayers = options.layers
        bert.numAttentionHeads = 4
        bert.intermediateSize = 4 * options.hiddenSize
        bert.maxPositionEmbeddings = 160
        bert.hiddenDropoutProb = 0
        bert.attentionProbsDropoutProb = 0
        // With BERT's own 0.02 a model this small is slow to begin to copy from what it reads.
        var readerBert = bert
        readerBert.initializerRange = 0.08
        // Which words two texts share takes one layer to see.
        bert.numHiddenLayers = 1
        var embedder = RealmEmbedder.Configuration(bert: bert)
        embedder.projection = options.projection
        embedder.pooling = .mean
        var reader = RealmReader.Configuration(bert: readerBert)
        reader.spanHiddenSize = options.hiddenSize
        reader.maxSpanWidth = 6
        realm = RealmModel(embedder, reader: reader)
        var random = SeededGenerator(seed: options.seed)
        realm.initialize(using: &random)
        setSinusoidalPositions(of: realm.reader, deviation: readerBert.initializerRange)
        addIdentity(to: realm.reader) {
            $0.contains(".attention.") || $0.contains(".transform.dense.")
        }
        // Projected like this, passages that share words with a question are near it from the start.
        addIdentity(to: realm.questions) { $0.contains("cls.dense.") }
        realm.passages.shareValues(of: realm.questions)
        input = try RealmInput(tokenizer: tokenizer, limit: bert.maxPositionEmbeddings)
        // Normalized vectors have products as large as they are long.
        scorer = .scaledDot(1 / Float(options.projection).squareRoot())
    }

    func run() async throws {
        let start = Date()
        note("\(base.count) passages, \(training.count) texts, \(heldOut.count) held out")
        var random = SeededGenerator(seed: options.seed)
        let chunks = heldOut.shuffled(using: &random).prefix(options.nTest)
        let hidden = chunks.compactMap {
            MaskedText(
                $0, finders: finders, input: input, using: &random)
        }
        let retriever = try DenseRetriever(base, vectors: passageVectors())
        let task = try RealmPretraining(
            realm, input: input, retriever: retriever, scorer: scorer,
            refresh: .blocking(every: options.indexingFreq))
        task.policy.count = options.candidates
        task.finders = finders
        task.marginalization = options.scoreUse.marginalization
        var rows = [("random weights", try await measure(task, hidden))]

        try await startEmbedders()
        try await startReader()
        try retriever.publish(IndexVersion(index: FlatIndex(passageVectors()), number: 1))
        rows.append(("warm starts", try await measure(task, hidden)))

        try await fit(task, training, "pre-training", options.steps, options.learningRate)
        rows.append(("pre-training", try await measure(task, hidden)))

        let answering = RealmAnswering(
            realm, input: input, retriever: retriever, scorer: scorer)
        let test = Array(questions.test.prefix(options.nTest))
        let before = try await score(answering, test)
        try await fit(
            answering, questions.train, "answers", options.answerSteps, options.warmupLearningRate)
        let after = try await score(answering, test)
        show(rows, before, after, seconds: Date().timeIntervalSince(start))
    }

    // MARK: Training

    private func passageVectors() throws -> Tensor {
        try PassageEncoder(tokenizer: input.tokenizer).encode(base, with: realm.passages)
    }

    /// The inverse cloze task: a sentence finds the passage it was taken out of.
    private func startEmbedders() async throws {
        var random = SeededGenerator(seed: options.seed)
        let passages = try (0..<base.count).map { try base.passage(PassageID($0)) }
        let task = try InBatchNegativesTask(
            questionEncoder: realm.questions, questionTokenizer: input.tokenizer,
            contextEncoder: realm.passages, contextTokenizer: input.tokenizer,
            temperature: Float(options.projection).squareRoot())
        let pairs = clozePairs(passages, using: &random)
        // Texts with hidden words are asked for under their titles.
        let titled = pairs.map {
            InBatchNegativesTask.Pair(
                question: $0.passage.title + ": " + $0.question, passage: $0.passage)
        }
        try await fit(
            task, pairs + titled, "warm start, embedders", options.ictSteps,
            options.warmupLearningRate, batchSize: 64)
    }

    private func startReader() async throws {
        let words = Set(training.flatMap { $0.text.matches(of: /\w+/).map { String($0.output) } })
        let task = CopyingTask(
            realm.reader, input: input, words: words.sorted(), finders: finders,
            steps: options.copySteps)
        try await fit(
            task, training, "warm start, reader", options.copySteps, options.warmupLearningRate,
            batchSize: 48)
    }

    private func fit<Objective: TrainingTask>(
        _ task: Objective, _ examples: [Objective.Example], _ name: String, _ steps: Int,
        _ rate: Double,
        batchSize: Int? = nil
    ) async throws {
        guard steps > 0 else { return }
        var arguments = TrainingArguments()
        arguments.maxSteps = steps
        arguments.learningRate = rate
        arguments.warmupSteps = min(40, steps / 10)
        arguments.trainBatchSize = batchSize ?? options.batchSize
        arguments.seed = options.seed
        try await trainShowingProgress(task, on: examples, name, arguments)
    }

    // MARK: Measuring

    /// The quality of filled-in words.
    struct Filling {
        /// Per hidden token, in nats: with the null document alone, and with what is found.
        var without = 0.0
        var with = 0.0
        /// The share of texts whose hidden words stand in one of the top five passages, in percent.
        var found = 0.0
        /// The mean probability of the null document, in percent.
        var null = 0.0
    }

    private func measure(_ task: RealmPretraining, _ texts: [MaskedText]) async throws -> Filling {
        var sums = Filling()
        var tokens = 0
        for batch in batches(texts, of: 20) {
            try await withInference {
                let prepared = try await task.prepare(
                    batch, policy: CandidatePolicy(count: 6, includesNullDocument: true))
                let each = task.tokenLogProbabilities(prepared)
                let priors = task.priors(prepared)
                let likelihoods = task.marginalization.logLikelihoods(
                    each, priors: priors, offsets: task.offsets(batch))
                tokens += each.dim(0)
                sums.with -= Double(likelihoods.sum().item())
                sums.without -= Double(lastColumn(each).sum().item())
                sums.null += Double(lastColumn(priors).exp().sum().item())
                for (text, list) in zip(batch, prepared.candidates.lists) {
                    let holds = list.contains {
                        !occurrences(
                            of: text.hidden.labels, in: input.tokenizer.ids(of: $0.passage.text)
                        ).isEmpty
                    }
                    sums.found += holds ? 1 : 0
                }
            }
        }
        let count = Double(texts.count)
        return Filling(
            without: sums.without / Double(tokens), with: sums.with / Double(tokens),
            found: 100 * sums.found / count, null: 100 * sums.null / count)
    }

    /// The values of the null document, the last of each row.
    private func lastColumn(_ values: Tensor) -> Tensor {
        values.elements(
            at: [Int32](repeating: Int32(values.dim(1) - 1), count: values.dim(0)))
    }

    /// Exact match, and how often an answer stands in one of the passages read, in percent.
    private func score(
        _ task: RealmAnswering, _ examples: [RagExample]
    ) async throws -> (exactMatch: Double, found: Double) {
        var (right, found) = (0, 0)
        for batch in batches(examples, of: 20) {
            try await withInference {
                let prepared = try await task.prepare(batch)
                for (index, answer) in task.answers(prepared).enumerated() {
                    right += AnswerMetrics.exactMatch(answer, batch[index].answers) ? 1 : 0
                    let holds = task.holdingAnswer(prepared, index)
                    found += holds.contains { $0 < task.readerBeam } ? 1 : 0
                }
            }
        }
        let share = 100 / Double(max(examples.count, 1))
        return (Double(right) * share, Double(found) * share)
    }

    private func batches<Element>(_ all: [Element], of size: Int) -> [[Element]] {
        stride(from: 0, to: all.count, by: size).map { Array(all[$0..<min($0 + size, all.count)]) }
    }

    // MARK: Results

    private func show(
        _ rows: [(String, Filling)], _ before: (exactMatch: Double, found: Double),
        _ after: (exactMatch: Double, found: Double), seconds: Double
    ) {
        guard !options.json else {
            var result: JSONValue = ["seconds": .double(seconds)]
            for (name, filling) in rows {
                result[name.replacing(" ", with: "_")] = [
                    "loss_without": .double(filling.without), "loss_with": .double(filling.with),
                    "recall@5": .double(filling.found), "null_share": .double(filling.null),
                ]
            }
            for (name, scores) in [("before", before), ("after", after)] {
                result["questions_\(name)"] = [
                    "em": .double(scores.exactMatch), "recall@5": .double(scores.found),
                ]
            }
            print(result.text())
            return
        }
        print(
            table(
                [
                    "hidden words, after", "loss without", "loss with", "answer in top 5 %",
                    "null document %",
                ],
                rows.map { name, filling in
                    [name]
                        + [filling.without, filling.with, filling.found, filling.null].map(rounded)
                }))
        print()
        print(
            table(
                ["questions", "EM", "answer in top 5 %"],
                [("before", before), ("after", after)].map {
                    [$0.0, rounded($0.1.exactMatch), rounded($0.1.found)]
                }))
        print("\n\(rounded(seconds)) s in all; peak memory \(Int(peakMemoryMiB())) MiB")
    }
}
