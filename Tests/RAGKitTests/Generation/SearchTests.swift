import Foundation
import Testing

@testable import RAGKit

/// The searches against plain loops over scripted scores.
@Suite struct SearchTests {
    private let vocabulary = 7

    private func plan(
        eos: [Int32] = [6], _ change: (inout GenerationConfiguration) -> Void
    ) throws -> DecodingPlan {
        var settings = GenerationConfiguration()
        settings.maxLength = 9
        settings.eosTokenIDs = eos
        settings.decoderStartTokenID = 3
        change(&settings)
        return try DecodingPlan(
            settings, GeneratorTokenIDs(bos: 0, eos: 2, pad: 1, decoderStart: 2), longest: 1000)
    }

    private func scorer(_ groups: Int, _ seed: UInt64) -> ScriptedScorer {
        ScriptedScorer(groups: groups, vocabulary: vocabulary, seed: seed, start: 3)
    }

    @Test(
        arguments: [2, 3, 4],
        [
            (1, .heuristic), (2, .heuristic), (0, .heuristic), (-1, .heuristic), (1, .whenEnough),
            (2, .whenEnough), (1, .never), (3, .never), (-0.5, .never),
        ] as [(Float, GenerationConfiguration.EarlyStopping)])
    func beams(count: Int, rule: (Float, GenerationConfiguration.EarlyStopping)) throws {
        var differing = 0
        for seed in UInt64(0)..<12 {
            for eos in [[6], [6, 5]] as [[Int32]] {
                let plan = try plan(eos: eos) {
                    $0.numBeams = count
                    $0.lengthPenalty = rule.0
                    $0.earlyStopping = rule.1
                    $0.numReturnSequences = count
                }
                var scorer = scorer(3, seed)
                let found = try BeamSearch(plan: plan).run(
                    groups: 3, questions: [0, 1, 2], &scorer)
                let naive = NaiveBeamSearch(
                    settings: plan.settings, vocabulary: vocabulary, seed: seed, start: 3, eos: eos)
                for group in 0..<3 {
                    let expected = naive.run(group: group)
                    #expect(found[group].map(\.tokenIDs) == expected, "seed \(seed)")
                    for hypothesis in found[group] {
                        let sum = logProbability(of: hypothesis.tokenIDs, group, seed)
                        expectClose(Double(hypothesis.logProbability), sum, relative: 1e-5)
                        let length = Double(hypothesis.tokenIDs.count - 1)
                        expectClose(
                            Double(hypothesis.score), sum / pow(length, Double(rule.0)),
                            relative: 1e-5)
                    }
                }
                // One row at first, then all beams, fewer once a group is done.
                #expect(scorer.scored[0] == 3 && scorer.scored[1] <= 3 * count)
                differing += Set(scorer.scored).count > 2 ? 1 : 0
            }
        }
        // Where long sequences are not favoured, groups end at different steps.
        #expect(differing > 0 || rule.0 > 1 || rule.1 == .never)
    }

    private func logProbability(of ids: [Int32], _ group: Int, _ seed: UInt64) -> Double {
        (1..<ids.count).reduce(0) { sum, length in
            let logits = ScriptedScorer.logits(
                after: Array(ids[..<length]), group: group, vocabulary: vocabulary, seed: seed)
            return sum + Naive.logSoftmax(logits.map(Double.init))[Int(ids[length])]
        }
    }

    @Test func greedy() throws {
        for seed in UInt64(0)..<20 {
            var scorer = scorer(4, seed)
            let found = try GreedySearch(plan: plan { _ in }).run(
                groups: 4, questions: [0, 1, 2, 3], &scorer)
            for group in 0..<4 {
                var ids: [Int32] = [3]
                while ids.count < 9, ids.last != 6 {
                    let logits = ScriptedScorer.logits(
                        after: ids, group: group, vocabulary: vocabulary, seed: seed)
                    ids.append(Int32(logits.firstIndex(of: logits.max() ?? 0) ?? 0))
                }
                #expect(found[group].map(\.tokenIDs) == [ids])
                expectClose(
                    Double(found[group][0].logProbability), logProbability(of: ids, group, seed),
                    relative: 1e-5)
            }
            #expect(scorer.scored == scorer.scored.sorted(by: >), "rows leave when they end")
        }
    }

    /// Samples have the distribution they should: sequences of two tokens, counted.
    @Test(arguments: [1, 2])
    func samples(beams: Int) throws {
        var counts: [[Int32]: Int] = [:]
        let draws = 4000
        for seed in 0..<UInt64(draws) {
            let plan = try plan {
                $0.maxLength = 2
                $0.doSample = true
                $0.topK = nil
                $0.temperature = 0.8
                $0.seed = seed
                $0.numBeams = beams
                $0.numReturnSequences = beams
            }
            var scorer = scorer(1, 5)
            let found =
                beams == 1
                ? try GreedySearch(plan: plan).run(groups: 1, questions: [0], &scorer)
                : try BeamSearch(plan: plan).run(groups: 1, questions: [0], &scorer)
            // Of two beams, both are drawn: count the pair without order.
            counts[found[0].map { $0.tokenIDs[1] }.sorted(), default: 0] += 1
        }
        let logits = ScriptedScorer.logits(
            after: [3], group: 0, vocabulary: vocabulary, seed: 5)
        let p = Naive.softmax(logits.map { Double($0) / 0.8 })
        guard beams == 1 else {
            // Four of seven are drawn, of which the best that do not end go on.
            #expect(counts.count > 1)
            return
        }
        for (token, share) in p.enumerated() {
            let expected = share * Double(draws)
            let found = Double(counts[[Int32(token)], default: 0])
            #expect(abs(found - expected) < 5 * (expected + 1).squareRoot(), "token \(token)")
        }
    }

    /// Places drawn without replacement: the first is drawn by its probability.
    @Test func continuationsAreDrawnByProbability() {
        let scores: [Float] = [0, -1, -2, -0.5, -.infinity, -3]
        var firsts = [Int](repeating: 0, count: 6)
        for seed in 0..<UInt64(6000) {
            let drawn = SampleStream(seed: seed).continuations(
                scores, beams: 2, vocabulary: 3, rowStride: 3, offsets: [0, 0][...], count: 1,
                question: 0, step: 1)
            firsts[Int(drawn[0].place)] += 1
        }
        let p = Naive.softmax(scores.map(Double.init))
        for place in 0..<6 {
            let expected = p[place] * 6000
            #expect(abs(Double(firsts[place]) - expected) <= 5 * expected.squareRoot())
        }
        let all = SampleStream(seed: 1).continuations(
            scores, beams: 2, vocabulary: 3, rowStride: 3, offsets: [0, 0][...], count: 6,
            question: 0, step: 1)
        #expect(all.map(\.place) == [0, 3, 1, 2, 5, 4], "sorted by score")
    }

    /// The same seed gives the same samples, alone or among others, another seed others.
    @Test func samplesFollowTheSeed() throws {
        func run(_ groups: Int, _ seed: UInt64, _ returned: Int) throws -> [[[Int32]]] {
            let plan = try plan {
                $0.doSample = true
                $0.seed = seed
                $0.numReturnSequences = returned
            }
            var scorer = scorer(groups, 1)
            return try GreedySearch(plan: plan).run(
                groups: groups, questions: Array(0..<groups), &scorer
            ).map { $0.map(\.tokenIDs) }
        }
        let one = try run(1, 7, 1)
        #expect(try run(1, 7, 1) == one && run(5, 7, 1)[0] == one[0])
        #expect(try run(5, 8, 1) != run(5, 7, 1))
        let several = try run(2, 7, 6)
        #expect(several.allSatisfy { $0.count == 6 && Set($0).count > 1 })
        #expect(several[0].contains(one[0][0]))
    }

    /// What is reported as settled is the beginning of the answer, and grows.
    @Test(arguments: [1, 3])
    func progress(beams: Int) throws {
        for seed in UInt64(0)..<10 {
            let plan = try plan { $0.numBeams = beams }
            var scorer = scorer(2, seed)
            var settled: [[[Int32]]] = [[], []]
            let note: ProgressHandler = { settled[$0.group].append($0.settled) }
            let found =
                beams == 1
                ? try GreedySearch(plan: plan).run(
                    groups: 2, questions: [0, 1], &scorer, progress: note)
                : try BeamSearch(plan: plan).run(
                    groups: 2, questions: [0, 1], &scorer, progress: note)
            for group in 0..<2 {
                let ids = found[group][0].tokenIDs
                #expect(settled[group].allSatisfy { ids.starts(with: $0) })
                let counts = settled[group].map(\.count)
                #expect(Set(counts).count == counts.count && counts == counts.sorted())
                if beams == 1 { #expect(counts == Array(2...ids.count)) }
            }
        }
    }

    @Test func cancellationStopsASearch() async throws {
        let plan = try plan { $0.numBeams = 2 }
        let task = Task {
            withUnsafeCurrentTask { $0?.cancel() }
            var scorer = ScriptedScorer(groups: 1, vocabulary: 7, seed: 1, start: 3)
            return try BeamSearch(plan: plan).run(groups: 1, questions: [0], &scorer)
        }
        await #expect(throws: CancellationError.self) { _ = try await task.value }
    }
}
