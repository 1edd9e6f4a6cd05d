import Foundation
import Testing

@testable import RAGKit

/// Beams, samples and returned sequences of whole RAG models.
@Suite struct RagGenerationTests {
    private func generation(
        _ change: (inout GenerationConfiguration) -> Void
    ) -> GenerationConfiguration {
        var settings = GenerationConfiguration()
        settings.maxLength = 7
        change(&settings)
        return settings
    }

    /// RAG-token's beams, with marginals of the naive model: every returned sequence and its score.
    @Test func tokenBeams() async throws {
        let settings = generation {
            $0.numBeams = 3
            $0.numReturnSequences = 3
        }
        for seed in UInt64(1)...2 {
            let model = try TinyRag.model(seed: seed)
            let found = try await model.hypotheses(
                TinyRag.questions, passages: TinyRag.found(), generation: settings)
            for question in 0..<3 {
                let evidence = try model.evidence(
                    [TinyRag.questions[question]],
                    passages: TinyRag.found([TinyRag.lists[question]]))
                let vectors = model.questionEncoder(
                    try model.questionTokens([TinyRag.questions[question]]))
                let scores = try model.documentScores(vectors, evidence).doubles
                let expected = naiveBeams(
                    settings, eos: model.generator.tokenIDs.eos,
                    start: model.generator.tokenIDs.decoderStart
                ) { ids in
                    marginal(model, evidence.contexts, scores, ids)
                }
                #expect(found[question].map(\.tokenIDs) == expected.map(\.ids), "seed \(seed)")
                for (hypothesis, (ids, sum)) in zip(found[question], expected) {
                    expectClose(Double(hypothesis.logProbability), sum, relative: 1e-4)
                    expectClose(
                        Double(hypothesis.score), sum / Double(ids.count - 1), relative: 1e-4)
                }
            }
        }
    }

    /// Log-probabilities of the next token after marginalizing.
    private func marginal(
        _ model: RagModel, _ contexts: TokenBatch, _ scores: [Double], _ ids: [Int32]
    ) -> [Double] {
        let naive = NaiveRag(
            model, contexts: contexts, scores: [scores], targets: [ids + [0]], start: nil)
        let words = naive.logProbabilities[0].map { $0[ids.count - 1] }
        return words[0].indices.map { word in
            NaiveRag.logSumExp(words.indices.map { words[$0][word] + naive.priors[0][$0] })
        }
    }

    private func naiveBeams(
        _ settings: GenerationConfiguration, eos: Int32, start: Int32,
        next: ([Int32]) -> [Double]
    ) -> [(ids: [Int32], sum: Double)] {
        typealias Beam = (ids: [Int32], sum: Double)
        func score(_ beam: Beam) -> Double { beam.sum / Double(beam.ids.count - 1) }
        let beams = settings.numBeams
        var open: [Beam] = [([start], 0)]
        var kept: [Beam] = []
        while open[0].ids.count < settings.maxLength {
            let candidates = open.flatMap { beam in
                next(beam.ids).enumerated().map { (beam.ids + [Int32($0)], beam.sum + $1) }
            }.sorted { $0.1 > $1.1 }.prefix(2 * beams)
            let ended = candidates.prefix(beams).filter { $0.0.last == eos }
            kept = (kept + ended.map { Beam($0.0, $0.1) }).sorted { score($0) > score($1) }
            kept = Array(kept.prefix(beams))
            open = candidates.filter { $0.0.last != eos }.prefix(beams).map { Beam($0.0, $0.1) }
            let best = candidates[candidates.startIndex].1 / Double(open[0].ids.count - 1)
            if kept.count == beams, score(kept[beams - 1]) >= best { return kept }
        }
        return Array((kept + open).sorted { score($0) > score($1) }.prefix(beams))
    }

    /// RAG-sequence: all beams of all documents, ranked by the naive loss.
    @Test(arguments: [false, true], [Float(0), 0.3])
    func sequenceCandidates(deduplicates: Bool, smoothing: Float) async throws {
        let settings = generation {
            $0.numBeams = 3
            $0.numReturnSequences = 5
        }
        for seed in UInt64(1)...2 {
            let model = try TinyRag.model(.sequence, seed: seed)
            model.configuration.doDeduplication = deduplicates
            model.configuration.labelSmoothing = smoothing
            model.configuration.compatibility.ranksBySmoothedLoss = true
            let found = try await model.hypotheses(
                TinyRag.questions, passages: TinyRag.found(), generation: settings)
            let (candidates, scores, evidence) = try candidates(model, settings)
            for question in 0..<3 {
                var own = candidates[question * 3..<question * 3 + 3].flatMap { $0 }
                    .map(\.tokenIDs)
                if deduplicates {
                    own = own.reduce(into: []) { if !$0.contains($1) { $0.append($1) } }
                }
                let skips = own.allSatisfy { $0[1] == model.generator.tokenIDs.bos }
                let losses = own.map { ids in
                    naive(model, evidence, question, scores, ids).sequence(
                        0, smoothing: Double(smoothing), skip: skips ? 1 : 0)
                }
                let expected = losses.sorted().prefix(5)
                #expect(found[question].count == min(5, own.count))
                for (hypothesis, loss) in zip(found[question], expected) {
                    expectClose(-Double(hypothesis.score), loss, relative: 1e-4)
                    let place = try #require(own.firstIndex(of: hypothesis.tokenIDs))
                    expectClose(losses[place], loss, relative: 1e-5)
                }
            }
        }
    }

    private func candidates(
        _ model: RagModel, _ settings: GenerationConfiguration
    ) throws -> ([[Hypothesis]], [Double], Evidence) {
        let evidence = try model.evidence(TinyRag.questions, passages: TinyRag.found())
        let vectors = model.questionEncoder(try model.questionTokens(TinyRag.questions))
        var all = settings
        all.numReturnSequences = settings.numBeams
        let found = try model.generator.generate(
            model.generator.encode(evidence.contexts), attending: (0..<9).map { [$0] }, all)
        return (found, try model.documentScores(vectors, evidence).doubles, evidence)
    }

    private func naive(
        _ model: RagModel, _ evidence: Evidence, _ question: Int, _ scores: [Double],
        _ ids: [Int32]
    ) -> NaiveRag {
        NaiveRag(
            model,
            contexts: TokenBatch((0..<3).map { Array(evidence.contexts[question * 3 + $0]) }),
            scores: [Array(scores[question * 3..<question * 3 + 3])],
            targets: [Array(ids.dropFirst())], start: ids[0])
    }

    /// The paper's fast decoding: documents whose beams did not find a candidate do not count.
    @Test func fastDecoding() async throws {
        let settings = generation {
            $0.numBeams = 3
            $0.numReturnSequences = 4
        }
        var differing = 0
        for seed in UInt64(1)...4 {
            let model = try TinyRag.model(.sequence, seed: seed)
            model.configuration.sequenceDecoding = .fast
            let found = try await model.hypotheses(
                TinyRag.questions, passages: TinyRag.found(), generation: settings)
            let (candidates, scores, _) = try candidates(model, settings)
            for question in 0..<3 {
                let priors = NaiveRag.logSoftmax(Array(scores[question * 3..<question * 3 + 3]))
                var parts: [[Int32]: [Double]] = [:]
                for document in 0..<3 {
                    for hypothesis in candidates[question * 3 + document] {
                        parts[hypothesis.tokenIDs, default: []].append(
                            priors[document] + Double(hypothesis.logProbability))
                    }
                }
                let expected = parts.mapValues(NaiveRag.logSumExp).sorted { $0.value > $1.value }
                #expect(found[question].map(\.tokenIDs) == expected.prefix(4).map(\.key))
                for (hypothesis, part) in zip(found[question], expected) {
                    expectClose(Double(hypothesis.score), part.value, relative: 1e-4)
                }
            }
            model.configuration.sequenceDecoding = .thorough
            let thorough = try await model.hypotheses(
                TinyRag.questions, passages: TinyRag.found(), generation: settings)
            differing +=
                thorough.map { $0.map(\.tokenIDs) } == found.map { $0.map(\.tokenIDs) } ? 0 : 1
        }
        #expect(differing > 0)
    }

    /// Several answers to a question, with text, probability and sources each.
    @Test(arguments: [Marginalization.token, .sequence])
    func alternatives(kind: Marginalization) async throws {
        let model = try TinyRag.model(kind)
        let settings = generation {
            $0.numBeams = 4
            $0.numReturnSequences = 3
        }
        let answers = try await model.answer(TinyRag.questions, generation: settings)
        let ids = try await model.generate(TinyRag.questions, generation: settings)
        #expect(ids.count == 9)
        #expect(answers.flatMap { [$0] + $0.alternatives }.map(\.tokenIDs) == ids)
        for answer in answers {
            let all = [answer] + answer.alternatives
            #expect(all.map(\.score) == all.map(\.score).sorted(by: >))
            for one in all {
                #expect(one.question == answer.question && one.sources.count == 3)
                expectClose(
                    Double(one.sources.reduce(0) { $0 + $1.posterior }), 1, relative: 1e-5)
                var only = GenerationConfiguration()
                only.maxLength = 7
                let ids = one.tokenIDs
                only.prefixAllowedTokens = { _, sofar in [ids[min(sofar.count, ids.count - 1)]] }
                guard ids.last == model.generator.tokenIDs.eos, kind == .token else { continue }
                let forced = try await model.answer([one.question], generation: only)[0]
                #expect(forced.tokenIDs == ids)
                expectClose(
                    Double(forced.logProbability), Double(one.logProbability), relative: 1e-4)
            }
        }
    }

    /// Sampling follows the seed, and the number of new tokens is a limit.
    @Test(arguments: [Marginalization.token, .sequence])
    func sampling(kind: Marginalization) async throws {
        let model = try TinyRag.model(kind)
        func run(_ seed: UInt64) async throws -> [[Int32]] {
            try await model.generate(
                TinyRag.questions,
                generation: generation {
                    $0.doSample = true
                    $0.seed = seed
                    $0.maxNewTokens = 4
                })
        }
        let first = try await run(1)
        #expect(try await run(1) == first)
        #expect(try await run(2) != first)
        #expect(first.allSatisfy { $0.count <= 5 })
    }

    @Test func settingsThatCannotBeFollowed() async throws {
        for kind in [Marginalization.token, .sequence] {
            let model = try TinyRag.model(kind)
            for change in [
                { $0.numBeams = 0 }, { $0.numReturnSequences = 0 }, { $0.maxLength = 0 },
                { $0.repetitionPenalty = -1 }, { $0.decoderStartTokenID = 1 << 20 },
                { $0.eosTokenIDs = [2, 1 << 20] },
            ] as [(inout GenerationConfiguration) -> Void] {
                await #expect(throws: GenerationError.self) {
                    _ = try await model.generate(TinyRag.questions, generation: generation(change))
                }
            }
            await #expect(throws: GenerationError.self) {
                _ = try await model.generate(
                    TinyRag.questions,
                    generation: generation { $0.prefixAllowedTokens = { _, _ in [] } })
            }
        }
        let model = try TinyRag.model()
        await #expect(throws: GenerationError.self) {
            _ = try await model.generate(
                ["why"], generation: generation { $0.numReturnSequences = 2 })
        }
    }
}
