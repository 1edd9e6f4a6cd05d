import Testing

@testable import RAGKit

/// Each switch alone changes what it says, and nothing else.
@Suite struct CompatibilityTests {
    typealias Compatibility = RagConfiguration.Compatibility

    enum Switch: String, CaseIterable, CustomTestStringConvertible {
        case decodesQuestion, truncatesQuestion, startsWithTarget, addsAtSecond, ranksBySmoothed
        case indexVectors, omitsSpace, excludesBosByBatch

        var testDescription: String { rawValue }

        var path: WritableKeyPath<Compatibility, Bool> {
            switch self {
            case .decodesQuestion: \.decodesQuestionFromIDs
            case .truncatesQuestion: \.truncatesQuestionFirst
            case .startsWithTarget: \.startsDecoderWithTarget
            case .addsAtSecond: \.addsPriorAtSecondToken
            case .ranksBySmoothed: \.ranksBySmoothedLoss
            case .indexVectors: \.generatesWithIndexVectors
            case .omitsSpace: \.omitsSpaceBeforeTarget
            case .excludesBosByBatch: \.excludesBosByBatch
            }
        }

        /// What it changes among `observations`.
        func changes(_ kind: Marginalization) -> Set<String> {
            switch self {
            case .decodesQuestion: ["contexts"]
            case .truncatesQuestion: ["long contexts"]
            case .startsWithTarget: ["loss", "smoothed loss", "short loss", "smoothed short loss"]
            case .addsAtSecond:
                kind == .token ? [] : ["smoothed loss", "short loss", "smoothed short loss"]
            case .ranksBySmoothed: []  // has a test of its own
            case .indexVectors: ["scores of answers"]
            case .omitsSpace: ["targets"]
            case .excludesBosByBatch: []  // only with `excludeBosScore`: RagLossTests
            }
        }
    }

    @Test(arguments: Switch.allCases, [Marginalization.token, .sequence])
    func aSwitchAlone(_ choice: Switch, kind: Marginalization) async throws {
        let model = try TinyRag.model(kind)
        let before = try await observations(model)
        model.configuration.compatibility[keyPath: choice.path] = true
        let after = try await observations(model)
        let changed = before.keys.filter { key in
            let (old, new) = (before[key, default: []], after[key, default: []])
            return old.count != new.count
                || zip(old, new).contains { abs($0 - $1) > 1e-5 * max(1, abs($0)) }
        }
        #expect(Set(changed) == choice.changes(kind))
        var all = Compatibility()
        for one in Switch.allCases { all[keyPath: one.path] = true }
        #expect(all == .huggingFace, "the preset is all of them")
    }

    /// What switches could change, each from inputs that no switch has a say in.
    private func observations(_ model: RagModel) async throws -> [String: [Double]] {
        // Words that the question encoder's tokenizer gives back otherwise.
        let questions = ["Where does Moses' GAS come from ?", "Why?", "is it so"]
        let contexts = try model.evidence(questions, passages: TinyRag.found()).contexts
        let combined = model.configuration.maxCombinedLength
        model.configuration.maxCombinedLength = 20
        let plain = ["where is helium found", "why", "is it so"]
        let long = try model.evidence(plain, passages: TinyRag.found()).contexts
        model.configuration.maxCombinedLength = combined
        let targets = try model.targetTokens(TinyRag.answers)

        // The evidence of losses is made from plain words, which survive the round trip.
        let evidence = try model.evidence(plain, passages: TinyRag.found())
        let vectors = model.questionEncoder(try model.questionTokens(plain))
        let eos = model.generator.tokenIDs.eos
        let fixed = TokenBatch([[0, 60, 61, eos], [0, 62, eos], [0, 63, 64, 65, eos]])
        // One label each: the second of two where the target's own first token starts the decoder.
        let start = model.configuration.compatibility.startsDecoderWithTarget
        let short = TokenBatch([[70], [71], [72]].map { start ? [0] + $0 : $0 })
        func loss(_ targets: TokenBatch, _ smoothing: Float) throws -> [Double] {
            try model.loss(
                vectors: vectors, evidence: evidence, targets: targets, smoothing: smoothing
            ).perExample.doubles
        }
        let answers = try await model.answer(plain, passages: TinyRag.found())
        return [
            "contexts": contexts.ids.map { Double($0) },
            "long contexts": long.ids.map { Double($0) },
            "targets": targets.ids.map { Double($0) },
            "loss": try loss(fixed, 0), "smoothed loss": try loss(fixed, 0.2),
            "short loss": try loss(short, 0), "smoothed short loss": try loss(short, 0.2),
            "scores of answers": answers.flatMap { $0.sources.map { Double($0.score) } },
        ]
    }

    @Test func questionsGoThroughTheEncodersTokenizer() throws {
        let model = try TinyRag.model()
        let question = "Where does Moses' GAS come from ?"
        let found = TinyRag.found([[0]])
        func read() throws -> String {
            model.generatorTokenizer.decode(
                try model.evidence([question], passages: found).contexts.ids)
        }
        #expect(try read().hasSuffix("in the sun. // " + question))
        model.configuration.compatibility.decodesQuestionFromIDs = true
        let tokenizer = model.questionTokenizer
        let decoded = tokenizer.decode(tokenizer.encode(question).ids)
        #expect(decoded != question && decoded == decoded.lowercased())
        #expect(try read().hasSuffix("in the sun. // " + decoded))
    }

    /// By default the end of the passage is lost, with the switch the question.
    @Test func tightContextsKeepTheQuestion() throws {
        let model = try TinyRag.model()
        let question = "where was helium first seen"
        let (tokenizer, passage) = (model.generatorTokenizer, TinyRag.passages[0])
        let document = "\(passage.title) / \(passage.text)"
        let whole = tokenizer.encode("\(document) // \(question)").ids
        let tail = tokenizer.ids(of: " // \(question)")
        for limit in [
            whole.count + 5, whole.count, whole.count - 1, tail.count + 6, tail.count + 2,
        ] {
            model.configuration.maxCombinedLength = limit
            func read(_ truncates: Bool) throws -> [Int32] {
                model.configuration.compatibility.truncatesQuestionFirst = truncates
                return try model.evidence([question], passages: TinyRag.found([[0]])).contexts.ids
            }
            let (kept, cut) = (try read(false), try read(true))
            #expect(kept.count == min(limit, whole.count) && cut.count == kept.count)
            #expect(Array(kept.dropLast().suffix(tail.count)) == tail, "limit \(limit)")
            #expect(kept.dropLast(tail.count + 1) == whole.prefix(kept.count - tail.count - 1))
            #expect(cut.dropLast() == whole.prefix(cut.count - 1), "limit \(limit)")
            #expect(kept.last == whole.last && cut.last == whole.last)
            #expect((kept == cut) == (limit >= whole.count))
        }
        // Where not even the question fits, its beginning stays.
        model.configuration.compatibility.truncatesQuestionFirst = false
        model.configuration.maxCombinedLength = 5
        let least = try model.evidence([question], passages: TinyRag.found([[0]])).contexts.ids
        #expect(least == [whole[0]] + tail.prefix(3) + [whole[whole.count - 1]])
    }

    @Test func titlesLoseOneQuotationMarkAtEachEnd() throws {
        let model = try TinyRag.model()
        model.configuration.prefix = "ask: "
        model.configuration.titleSep = " | "
        model.configuration.docSep = " ? "
        for (title, read) in [("\"Iron\"", "Iron"), ("\"", ""), ("\"\"x\"\"", "\"x\""), ("", "")] {
            let passage = Passage(id: 0, title: title, text: "It rusts.")
            let evidence = try model.evidence(
                ["why"], passages: [[RetrievedPassage(passage: passage, score: 0)]])
            let text = model.generatorTokenizer.decode(evidence.contexts.ids)
            #expect(text == "ask: \(read) | It rusts. ? why")
        }
    }

    /// With the switch the decoder starts with the target's own first token.
    @Test(arguments: [Marginalization.token, .sequence], [false, true])
    func decoderStart(kind: Marginalization, startsWithTarget: Bool) throws {
        let model = try TinyRag.model(kind)
        model.configuration.compatibility.startsDecoderWithTarget = startsWithTarget
        let loss = try TinyRag.loss(model)
        let targets = try model.targetTokens(TinyRag.answers)
        let evidence = try model.evidence(TinyRag.questions, passages: TinyRag.found())
        let naive = NaiveRag(
            model, contexts: evidence.contexts,
            scores: (0..<3).map { loss.documentScores.slice($0..<$0 + 1).doubles },
            targets: targets.sequences,
            start: startsWithTarget ? nil : model.generator.tokenIDs.decoderStart)
        let expected = (0..<3).map { kind == .token ? naive.token($0) : naive.sequence($0) }
        expectClose(loss.perExample, expected, relative: 1e-5)
        #expect(loss.targetTokens == targets.totalTokens - (startsWithTarget ? 3 : 0))
    }

    /// By default a target of one token still teaches the retriever; the reference loses it.
    @Test(arguments: [false, true], [Float(0), 0.2])
    func priorAtSecondToken(atSecond: Bool, smoothing: Float) throws {
        let model = try TinyRag.model(.sequence)
        model.configuration.compatibility.addsPriorAtSecondToken = atSecond
        let evidence = try model.evidence(TinyRag.questions, passages: TinyRag.found())
        for targets in [[[70], [71], [72]], [[60, 61, 2], [62, 2], [70]]] as [[[Int32]]] {
            let vectors = model.questionEncoder(try model.questionTokens(TinyRag.questions))
            let loss = try model.loss(
                vectors: vectors, evidence: evidence, targets: TokenBatch(targets),
                smoothing: smoothing)
            let naive = NaiveRag(
                model, contexts: evidence.contexts,
                scores: (0..<3).map { loss.documentScores.slice($0..<$0 + 1).doubles },
                targets: targets, start: model.generator.tokenIDs.decoderStart)
            let expected = (0..<3).map {
                naive.sequence($0, smoothing: Double(smoothing), atSecondToken: atSecond)
            }
            expectClose(loss.perExample, expected, relative: 1e-5)
            let found = gradients(of: loss.sum, for: model.questionEncoder.parameters())
            let isOneToken = targets.allSatisfy { $0.count == 1 }
            #expect((found.norm > 0) == !(atSecond && isOneToken), "norm \(found.norm)")
        }
    }

    /// Candidates are ranked by the plain loss, with the switch by the smoothed one.
    @Test func rankingOfCandidates() async throws {
        var differing = 0
        for seed in UInt64(1)...8 {
            let model = try TinyRag.model(.sequence, seed: seed)
            model.configuration.labelSmoothing = 0.9
            var picked: [[[Int32]]] = []
            for ranks in [false, true] {
                model.configuration.compatibility.ranksBySmoothedLoss = ranks
                let generated = try await model.generate(
                    TinyRag.questions, passages: TinyRag.found())
                picked.append(generated)
                #expect(try generated == best(model, smoothing: ranks ? 0.9 : 0), "seed \(seed)")
            }
            differing += picked[0] == picked[1] ? 0 : 1
        }
        #expect(differing > 0, "the seeds show that the switch matters")
    }

    /// Each question's candidates, one from each document, ranked by the naive loss.
    private func best(_ model: RagModel, smoothing: Double) throws -> [[Int32]] {
        let evidence = try model.evidence(TinyRag.questions, passages: TinyRag.found())
        let vectors = model.questionEncoder(try model.questionTokens(TinyRag.questions))
        let scores = try model.documentScores(vectors, evidence)
        let memory = model.generator.encode(evidence.contexts)
        let candidates = try model.generator.generate(
            memory, attending: (0..<9).map { [$0] }, model.generation
        ).map { $0[0].tokenIDs }
        return (0..<3).map { question in
            let own = Array(candidates[question * 3..<question * 3 + 3])
            let losses = own.map { candidate in
                let bos = model.generator.tokenIDs.bos
                let skips = own.allSatisfy { $0[1] == bos }
                return NaiveRag(
                    model,
                    contexts: TokenBatch(
                        (0..<3).map { Array(evidence.contexts[question * 3 + $0]) }),
                    scores: [scores.slice(question..<question + 1).doubles],
                    targets: [Array(candidate.dropFirst())], start: candidate[0]
                ).sequence(0, smoothing: smoothing, skip: skips ? 1 : 0)
            }
            return own[own.indices.min { losses[$0] < losses[$1] } ?? 0]
        }
    }

    /// The live context encoder's scores, with the switch the index's; the same without encoder.
    @Test(arguments: [Marginalization.token, .sequence])
    func vectorsAtGeneration(kind: Marginalization) async throws {
        let model = try TinyRag.model(kind)
        let vectors = model.questionEncoder(try model.questionTokens(TinyRag.questions))
        let (encoder, tokenizer) = try #require(try model.contextParts())
        let live = try PassageEncoder(tokenizer: tokenizer)
            .encode(KnowledgeBase(passages: TinyRag.passages), with: encoder)
        for usesIndex in [false, true] {
            model.configuration.compatibility.generatesWithIndexVectors = usesIndex
            let answers = try await model.answer(TinyRag.questions, passages: TinyRag.found())
            for (question, answer) in answers.enumerated() {
                let q = vectors.slice(question..<question + 1)
                for source in answer.sources {
                    let id = source.passage.id.rawValue
                    let d = (usesIndex ? TinyRag.indexVectors() : live).slice(id..<id + 1)
                    expectClose(Double(source.score), dot(q, d), relative: 1e-4)
                }
            }
        }
    }

    @Test func spaceBeforeTargets() throws {
        let model = try TinyRag.model()
        let tokenizer = model.generatorTokenizer
        for (text, read) in [("zinc", " zinc"), (" zinc", " zinc"), ("12 %", " 12 %")] {
            #expect(try model.targetTokens([text]).ids == tokenizer.encode(read).ids)
        }
        model.configuration.compatibility.omitsSpaceBeforeTarget = true
        for text in ["zinc", " zinc", "12 %"] {
            #expect(try model.targetTokens([text]).ids == tokenizer.encode(text).ids)
        }
        #expect(tokenizer.ids(of: "zinc") != tokenizer.ids(of: " zinc"))
    }
}
