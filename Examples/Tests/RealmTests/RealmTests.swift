import Foundation
import RAGKit
import Realm
import Testing

/// What transformers 4.46.3 computes with the same random weights: see Fixtures/make_fixture.py.
@Suite struct RealmOracleTests {
    private let weights: ModelWeights
    private let expected: JSONValue
    private let reader: RealmReader

    init() throws {
        let folder = URL(fileURLWithPath: #filePath).deletingLastPathComponent()
            .appendingPathComponent("Fixtures")
        weights = try ModelWeights(contentsOf: folder.appendingPathComponent("realm.safetensors"))
        expected = try JSONValue(contentsOf: folder.appendingPathComponent("realm.json"))
        var bert = BertConfiguration()
        bert.vocabSize = 31
        bert.hiddenSize = 8
        bert.numHiddenLayers = 2
        bert.numAttentionHeads = 2
        bert.intermediateSize = 12
        bert.maxPositionEmbeddings = 20
        bert.hiddenDropoutProb = 0
        bert.attentionProbsDropoutProb = 0
        bert.padTokenID = 1  // RealmConfig's own, whose vector gets no gradient
        var configuration = RealmReader.Configuration(bert: bert)
        configuration.spanHiddenSize = 6
        configuration.maxSpanWidth = 3
        reader = RealmReader(configuration)
        try reader.load(weights, prefix: "reader.", ignoring: { !$0.hasPrefix("reader.") })
    }

    @Test func lossOfHiddenWords() throws {
        let section = try #require(expected["words"])
        let inputs = TokenBatch(try ids(section["ids"]), typeIDs: try ids(section["types"]))
        let places = try ids(section["positions"]).map { $0.map { Int($0) } }
        let labels = try ids(section["labels"])
        let tokens = reader.logProbabilities(
            inputs, hiding: zip(places, labels).map { (positions: $0, labels: $1) })
        let scores = try weights.tensor("words_scores").variable()
        let likelihoods = Marginalization.token.logLikelihoods(
            tokens, priors: scores.logSoftmax(), offsets: [0, 2, 3])
        let loss = -likelihoods.sum() / 3
        try expect(loss, section["loss"])
        try expectGradients(of: loss, "words", scores, "words_scores_gradient")
    }

    @Test func lossesOfSpans() throws {
        let section = try #require(expected["spans"])
        // The retriever's loss compares four passages, of which the reader reads three.
        let all = (try ids(section["ids"]), try ids(section["types"]))
        let inputs = TokenBatch(Array(all.0.prefix(3)), typeIDs: Array(all.1.prefix(3)))
        let places = try ids(section["passages"]).map { Int($0[0])..<Int($0[1]) }
        let answers = zip(try ids(section["starts"]), try ids(section["ends"]))
            .map { zip($0, $1).map { Int($0)...Int($1) } }
        var spans = Spans()
        spans.append(
            (0..<3).map {
                (sequence: $0, row: inputs.offsets[$0], places: places[$0], answers: answers[$0])
            },
            width: 3)
        let relevance = try weights.tensor("spans_relevance").variable()
        let logits = reader.spanScores(inputs, spans, relevance: relevance.slice(0..<3))
        let holding = answers.indices.filter { !answers[$0].isEmpty }.map { Int32($0) }
        let retrieverLoss = try #require(marginalLoss(relevance, right: holding))
        let readerLoss = try #require(marginalLoss(logits, right: spans.answers[0]))
        try expect(retrieverLoss, section["retriever_loss"])
        try expect(readerLoss, section["reader_loss"])
        let best = Int(logits.maxIndices()[0])
        let block = Int(spans.sequence[best])
        let found = [
            block, Int(spans.first[best]) - inputs.offsets[block],
            Int(spans.last[best]) - inputs.offsets[block],
        ]
        #expect(found == ["block", "start", "end"].compactMap { section[$0]?.intValue })
        let loss = retrieverLoss + readerLoss
        try expect(loss, section["loss"])
        try expectGradients(of: loss, "spans", relevance, "spans_relevance_gradient")
    }

    // MARK: Comparing

    private func ids(_ value: JSONValue?) throws -> [[Int32]] {
        try #require(value?.arrayValue).map { row in
            try #require(row.arrayValue).map { Int32(try #require($0.intValue)) }
        }
    }

    private func expect(_ found: Tensor, _ value: JSONValue?) throws {
        let expected = try #require(value?.doubleValue)
        #expect(abs(Double(found.item()) - expected) < 1e-5 * abs(expected))
    }

    /// Every parameter that the reference gives a gradient, and the scores.
    private func expectGradients(
        of loss: Tensor, _ section: String, _ scores: Tensor, _ name: String
    ) throws {
        let own = gradients(of: loss, for: [scores], retainingTape: true)[0]
        close(own, try weights.tensor(name), "scores")
        let all = gradients(of: loss, for: reader.parameters())
        var compared = 0
        for (name, parameter) in reader.namedParameters() {
            let key = "\(section)_gradient.\(name)"
            guard weights.shape(key) != nil else { continue }
            let found = try #require(all[parameter], "\(name) has no gradient")
            close(found, try weights.tensor(key), name)
            compared += 1
        }
        let there = weights.names.count { $0.hasPrefix("\(section)_gradient.") }
        #expect(compared == there && there > 30, "\(compared) of \(there) gradients")
    }

    private func close(_ found: Tensor, _ expected: Tensor, _ name: String) {
        #expect(found.shape == expected.shape, "\(name)")
        let squares = expected.elements.reduce(0) { $0 + $1 * $1 }
        let typical = (squares / Float(max(expected.count, 1))).squareRoot()
        let differences = zip(found.elements, expected.elements).map { abs($0 - $1) }
        // A softmax does not see what is added to all its scores: zero but for rounding.
        let cancels = ["self.key.bias", "layer_normalization.bias", "dense_output.bias"]
            .contains { name.hasSuffix($0) }
        let allowed = cancels ? 1e-6 : 1e-4 * typical + 1e-7
        #expect(
            zip(differences, expected.elements).allSatisfy { $0 <= allowed + 1e-4 * abs($1) },
            "\(name): \(differences.max() ?? 0), allowed \(allowed)")
    }
}

@Suite struct SalientSpanTests {
    private func found(_ finder: some SpanFinder, _ text: String) -> [String] {
        finder.spans(in: text).map { String(text[$0]) }
    }

    @Test func numbersAndDates() {
        #expect(
            found(NumbersAndDates(), "On 5 March 1783 and March 6, 1784, at 1,234.5 m, in 1886.")
                == ["5 March 1783", "March 6, 1784", "1,234.5", "1886"])
        #expect(found(NumbersAndDates(), "It may march.").isEmpty)
    }

    @Test func runsOfCapitals() {
        #expect(
            found(
                CapitalizedRuns(),
                "The honor of it goes to Carl Wilhelm Scheele. Chemists write Mo.")
                == ["Carl Wilhelm Scheele", "Mo"])
        #expect(found(CapitalizedRuns(), "Marie Curie found it.") == ["Curie"])
        #expect(found(CapitalizedRuns(), "It is a gas.").isEmpty)
    }

    @Test func givenSpans() {
        #expect(found(GivenSpans(["gas", "no"]), "A gas is no gas.") == ["gas", "no", "gas"])
    }

    @Test func masksKeepEverythingElse() throws {
        let text = "The Danube flows from Germany to the Black Sea."
        let tokenizer = try WordPieceTrainer(vocabularySize: 60, minimumFrequency: 1).train(
            on: [text, "Danube"])
        let input = try RealmInput(tokenizer: tokenizer, limit: 60)
        let chunk = Chunk(title: "Danube", text: text, source: .null)
        let mask = try #require(tokenizer.specialTokens.mask)
        var random = SeededGenerator(seed: 1)
        var seen: Set<String> = []
        for _ in 0..<40 {
            let masked = try #require(
                MaskedText(chunk, finders: [CapitalizedRuns()], input: input, using: &random))
            // Put back what was hidden, and the text is whole.
            var ids = input.alone(masked.ids)
            for (place, label) in zip(masked.hidden.positions, masked.hidden.labels) {
                #expect(ids[place] == mask)
                ids[place] = label
            }
            #expect(ids == tokenizer.encode("Danube: " + text).ids)
            seen.insert(tokenizer.decode(masked.hidden.labels))
        }
        // The title is not hidden.
        #expect(seen == ["germany", "black sea"])
        // Without anything salient any words are.
        #expect(MaskedText(chunk, finders: [], input: input, using: &random) != nil)
        let short = try RealmInput(tokenizer: tokenizer, limit: 8)
        #expect(MaskedText(chunk, finders: [], input: short, using: &random) == nil)
    }
}

@Suite struct RealmTrainingTests {
    private static let passages = [
        ("Helium", "Helium is a gas. It was found in 1868."),
        ("Iron", "Iron is a metal. Its number is 26."),
        ("Danube", "The Danube flows to the Black Sea."),
        ("Otter", "The otter lives in rivers and eats fish."),
    ].enumerated().map { Passage(id: PassageID($0), title: $1.0, text: $1.1) }

    private static func makeTask(
        _ marginalization: Marginalization
    ) throws -> (RealmPretraining, DenseRetriever) {
        let texts = passages.flatMap { [$0.title, $0.text] }
        let tokenizer = try WordPieceTrainer(vocabularySize: 150, minimumFrequency: 1)
            .train(on: texts)
        var bert = BertConfiguration()
        bert.vocabSize = tokenizer.vocabularySize
        bert.hiddenSize = 16
        bert.numHiddenLayers = 1
        bert.numAttentionHeads = 2
        bert.intermediateSize = 24
        bert.maxPositionEmbeddings = 48
        bert.initializerRange = 0.3
        var embedder = RealmEmbedder.Configuration(bert: bert)
        embedder.projection = 8
        let realm = RealmModel(embedder, reader: RealmReader.Configuration(bert: bert))
        var random = SeededGenerator(seed: 4)
        realm.initialize(using: &random)
        let base = KnowledgeBase(passages: passages)
        let retriever = try DenseRetriever(
            base, vectors: PassageEncoder(tokenizer: tokenizer).encode(base, with: realm.passages))
        let task = try RealmPretraining(
            realm, input: RealmInput(tokenizer: tokenizer, limit: 48), retriever: retriever,
            scorer: .dot, refresh: .blocking(every: 2))
        task.policy = CandidatePolicy(count: 3, includesNullDocument: true)
        task.marginalization = marginalization
        return (task, retriever)
    }

    @Test(arguments: [Marginalization.token, .sequence])
    func aStepMovesBothEmbeddersAndTheIndex(marginalization: Marginalization) async throws {
        let (task, retriever) = try Self.makeTask(marginalization)
        let chunks = Chunk.sentences(of: Self.passages)
        let prepared = try await task.prepare(chunks)
        for (text, list) in zip(prepared.texts, prepared.candidates.lists) {
            #expect(list.count == 3 && list.last?.passage.isNull == true)
            #expect(!list.contains { $0.passage.id == text.source.id }, "its own passage")
        }
        let before = task.realm.namedParameters().map { ($0.name, $0.parameter.value) }
        var arguments = TrainingArguments()
        arguments.maxSteps = 2
        arguments.trainBatchSize = chunks.count
        arguments.learningRate = 1e-3
        let report = try await Trainer(task, examples: chunks, arguments: arguments).fit()
        #expect(report.losses.allSatisfy { $0.isFinite })
        #expect(retriever.version.number == 1 && retriever.version.step == 2)
        for ((name, old), new) in zip(before, task.realm.parameters()) {
            // The span head is not asked, and no token has these types or places.
            if name.contains("qa_outputs") || name.hasSuffix("key.bias") { continue }
            #expect(old.elements != new.value.elements, "\(name) did not move")
        }
    }

    /// Questions answered with spans: a few are learnt by heart, and the passages' side stays.
    @Test func questionsAreAnsweredWithSpans() async throws {
        let (pretraining, retriever) = try Self.makeTask(.token)
        let realm = pretraining.realm
        let task = RealmAnswering(
            realm, input: pretraining.input, retriever: retriever, scorer: .dot)
        (task.searcherBeam, task.readerBeam) = (4, 2)
        let examples = [
            RagExample(question: "When was helium found?", answers: ["in 1868", "1868"]),
            RagExample(question: "What does the otter eat?", answers: ["fish"]),
            RagExample(question: "Who?", answers: ["nobody"]),
        ]
        let prepared = try await task.prepare(examples)
        // All four passages are compared; one holds each of the first two answers, none the third.
        #expect((0..<3).map { task.holdingAnswer(prepared, $0).count } == [1, 1, 0])
        let before = realm.passages.namedParameters().map(\.parameter.value)
        var arguments = TrainingArguments()
        arguments.maxSteps = 300
        arguments.trainBatchSize = examples.count
        arguments.learningRate = 3e-3
        let losses = try await Trainer(task, examples: examples, arguments: arguments).fit().losses
        let last = try #require(losses.last)
        #expect(last < losses[0] / 2, "from \(losses[0]) to \(last)")
        for (old, new) in zip(before, realm.passages.namedParameters()) {
            #expect(old.elements == new.parameter.value.elements, "\(new.name) moved")
        }
        let answers = try await withInference {
            task.answers(try await task.prepare(examples))
        }
        #expect(answers[0].hasSuffix("1868") && answers[1] == "fish", "\(answers)")
    }

    /// ∂ log p(y|x) / ∂ f(z) = (p(y|z,x) / p(y|x) - 1) p(z|x), through the whole model.
    @Test func gradientOfTheScoresIsThePapersIdentity() async throws {
        let (task, _) = try Self.makeTask(.sequence)
        let prepared = try await task.prepare(Chunk.sentences(of: Self.passages))
        let tokens = task.tokenLogProbabilities(prepared).detached
        let offsets = task.offsets(prepared.texts)
        let scores = task.priors(prepared).detached.variable()
        let likelihood = Marginalization.sequence.logLikelihoods(
            tokens, priors: scores.logSoftmax(), offsets: offsets)
        let found = gradients(of: likelihood.sum(), for: [scores])[0].elements
        let (prior, given) = (
            scores.softmax().elements, tokens.segmentSums(offsets: offsets).elements
        )
        for text in prepared.texts.indices {
            let row = text * 3..<text * 3 + 3
            let whole = row.reduce(0.0) { $0 + Double(prior[$1]) * exp(Double(given[$1])) }
            for place in row {
                let ratio = exp(Double(given[place])) / whole
                let expected = (ratio - 1) * Double(prior[place])
                #expect(abs(Double(found[place]) - expected) < 1e-5, "text \(text)")
            }
        }
    }
}
