import Testing

@testable import RAGKit

/// The losses, and each option of them, against the paper's formulas from full logits.
@Suite struct RagLossTests {
    @Test(arguments: [Marginalization.token, .sequence], [Float(0), 0.1, 0.6])
    func lossesAreThePapers(kind: Marginalization, smoothing: Float) throws {
        let model = try TinyRag.model(kind)
        model.configuration.labelSmoothing = smoothing
        let loss = try TinyRag.loss(model)
        let naive = try naive(model, loss, start: model.generator.tokenIDs.decoderStart)
        let expected = TinyRag.questions.indices.map { question in
            kind == .token
                ? naive.token(question, smoothing: Double(smoothing))
                : naive.sequence(question, smoothing: Double(smoothing))
        }
        expectClose(loss.perExample, expected, relative: 1e-5)
        expectClose(Double(loss.sum.item()), expected.reduce(0, +), relative: 1e-5)
        let targets = try model.targetTokens(TinyRag.answers)
        #expect(loss.targetTokens == targets.totalTokens)
    }

    @Test(arguments: [Marginalization.token, .sequence])
    func smoothingOfTheCallReplacesTheConfigurations(kind: Marginalization) throws {
        let model = try TinyRag.model(kind)
        let plain = try TinyRag.loss(model).sum.item()
        let smoothed = try TinyRag.loss(model, smoothing: 0.3).sum.item()
        model.configuration.labelSmoothing = 0.3
        let configured = try TinyRag.loss(model).sum.item()
        let without = try TinyRag.loss(model, smoothing: 0).sum.item()
        expectClose(Double(configured), Double(smoothed), relative: 1e-6)
        expectClose(Double(without), Double(plain), relative: 1e-6)
        #expect(abs(plain - smoothed) > 0.1)
    }

    /// Left out of targets that begin with the start token, or, as in the reference, only where every
    /// target of the batch does; and of the likelihood only.
    @Test func excludesTheStartTokensScore() throws {
        let model = try TinyRag.model(.sequence)
        let ids = model.generator.tokenIDs
        let bos = try #require(ids.bos)
        let targets = [[bos, 40, 41, ids.eos], [bos, 50, ids.eos], [bos, ids.eos]]
        for (smoothing, first) in [(Float(0), bos), (0.2, bos), (0, 77)] {
            var mine = targets
            mine[1][0] = first
            let evidence = try model.evidence(TinyRag.questions, passages: TinyRag.found())
            let vectors = model.questionEncoder(try model.questionTokens(TinyRag.questions))
            let scores = try model.documentScores(vectors, evidence)
            let naive = NaiveRag(
                model, contexts: evidence.contexts, scores: rows(scores), targets: mine,
                start: ids.decoderStart)
            for (excludes, byBatch) in [(false, false), (true, false), (true, true)] {
                model.configuration.excludeBosScore = excludes
                model.configuration.compatibility.excludesBosByBatch = byBatch
                let loss = try model.loss(
                    vectors: vectors, evidence: evidence, targets: TokenBatch(mine),
                    smoothing: smoothing)
                let expected = mine.indices.map {
                    let skips = byBatch ? first == bos : mine[$0][0] == bos
                    return naive.sequence(
                        $0, smoothing: Double(smoothing), skip: excludes && skips ? 1 : 0)
                }
                expectClose(
                    loss.perExample, expected, relative: 1e-5,
                    "excludes \(excludes), by batch \(byBatch)")
            }
        }
    }

    /// A label equal to the padding id counts for nothing, as in the reference.
    @Test(arguments: [Marginalization.token, .sequence], [Float(0), 0.2])
    func paddingInTargetsCountsForNothing(kind: Marginalization, smoothing: Float) throws {
        let model = try TinyRag.model(kind)
        let evidence = try model.evidence(TinyRag.questions, passages: TinyRag.found())
        let vectors = model.questionEncoder(try model.questionTokens(TinyRag.questions))
        var targets = try model.targetTokens(TinyRag.answers).sequences
        let plain = try model.loss(
            vectors: vectors, evidence: evidence, targets: TokenBatch(targets), smoothing: smoothing
        )
        targets[1] += [model.generator.tokenIDs.pad, model.generator.tokenIDs.pad]
        let padded = try model.loss(
            vectors: vectors, evidence: evidence, targets: TokenBatch(targets), smoothing: smoothing
        )
        #expect(plain.targetTokens == padded.targetTokens)
        expectClose(padded.perExample, plain.perExample, relative: 1e-5)
    }

    /// Fewer passages than asked for: probabilities over what exists, as if the batch had no
    /// others, and nothing infinite.
    @Test(arguments: [Marginalization.token, .sequence], [Float(0), 0.1])
    func fewerPassagesThanOthersHave(kind: Marginalization, smoothing: Float) throws {
        let model = try TinyRag.model(kind)
        let lists = [[0, 2, 5], [3], [5, 4]]
        let loss = try TinyRag.loss(model, lists: lists, smoothing: smoothing)
        for (question, list) in lists.enumerated() {
            let evidence = try model.evidence(
                [TinyRag.questions[question]], passages: TinyRag.found([list]))
            let alone = try model.loss(
                vectors: model.questionEncoder(
                    model.questionTokens([TinyRag.questions[question]])),
                evidence: evidence, targets: model.targetTokens([TinyRag.answers[question]]),
                smoothing: smoothing)
            expectClose(
                Double(loss.perExample.elements[question]), Double(alone.sum.item()),
                relative: 1e-5, "question \(question)")
            let shares = loss.documentScores.softmax().slice(question..<question + 1).elements
            #expect(shares.dropFirst(list.count).allSatisfy { $0 == 0 })
            expectClose(Double(shares.reduce(0, +)), 1, relative: 1e-6)
        }
        let found = gradients(of: loss.sum, for: model.parameters())
        #expect(found.norm.isFinite && found.norm > 0)
    }

    /// The same for gradients: each question's alone, added up.
    @Test(arguments: [Marginalization.token, .sequence])
    func standInsGiveNoGradient(kind: Marginalization) throws {
        let model = try TinyRag.model(kind)
        let lists = [[0, 2, 5], [3], [5, 4]]
        let together = gradients(
            of: try TinyRag.loss(model, lists: lists).sum, for: model.parameters())
        var added = Gradients()
        for (question, list) in lists.enumerated() {
            let words = [TinyRag.questions[question]]
            let alone = try model.loss(
                vectors: model.questionEncoder(model.questionTokens(words)),
                evidence: model.evidence(words, passages: TinyRag.found([list])),
                targets: model.targetTokens([TinyRag.answers[question]]))
            added.add(gradients(of: alone.sum, for: model.parameters()))
        }
        // The encoders' gradients are differences of posteriors and priors, with the rounding of large
        // log-probabilities in them: that of the context encoder's bias is zero, and comes out as 1e-5.
        for (name, parameter) in model.namedParameters() {
            expectClose(
                try #require(together[parameter]), try #require(added[parameter]), relative: 1e-4,
                ofRootMeanSquare: 1e-4, absolute: name.hasPrefix("rag.generator") ? 1e-5 : 5e-5,
                name)
        }
    }

    /// A question's loss does not depend on the batch it is in.
    @Test(arguments: [Marginalization.token, .sequence])
    func posteriorsAreTheDocumentsShares(kind: Marginalization) throws {
        let model = try TinyRag.model(kind)
        let loss = try TinyRag.loss(model)
        let naive = try naive(model, loss, start: model.generator.tokenIDs.decoderStart)
        for question in TinyRag.questions.indices {
            let joint = naive.priors[question].indices.map { document in
                naive.labels[question].indices.reduce(naive.priors[question][document]) {
                    $0 + naive.logProbabilities[question][document][$1][naive.labels[question][$1]]
                }
            }
            expectClose(
                loss.logPosteriors.slice(question..<question + 1).doubles, joint, relative: 1e-5)
        }
        #expect(!loss.logPosteriors.isRecorded)
    }

    private func naive(_ model: RagModel, _ loss: RagLoss, start: Int32?) throws -> NaiveRag {
        let evidence = try model.evidence(TinyRag.questions, passages: TinyRag.found())
        return NaiveRag(
            model, contexts: evidence.contexts, scores: rows(loss.documentScores),
            targets: try model.targetTokens(TinyRag.answers).sequences, start: start)
    }

    private func rows(_ scores: Tensor) -> [[Double]] {
        (0..<scores.dim(0)).map { scores.slice($0..<$0 + 1).doubles }
    }
}
