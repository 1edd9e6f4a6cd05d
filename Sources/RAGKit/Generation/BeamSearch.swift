import Foundation
import RAGKitBLAS

/// Beam search: extends several sequences of each group at once and keeps the best that end.
///
/// Candidates, scores, ends and ties are those of transformers 4.46.3 (`BeamSearchScorer`). Two
/// things differ and change no result: the first step scores one row for each group, since all
/// beams are still equal, and groups that are done leave the batch.
struct BeamSearch {
    let plan: DecodingPlan

    /// The state of one group's search.
    private struct Group {
        let number: Int
        var beams: [[Int32]]
        var scores: [Float]
        var kept: BeamHypotheses
        var isDone = false
        /// The number of tokens that were reported as settled.
        var reported = 1
    }

    /// The first score of all beams but one, so low that only that one is continued.
    private static let closed: Float = -1e9

    /// - Parameters:
    ///   - groups: the number of questions or contexts that the scorer has rows for.
    ///   - questions: the number of each group's question, which processors are given.
    /// - Returns: for each group its hypotheses, best first: `numReturnSequences` of them.
    func run(
        groups count: Int, questions: [Int], _ scorer: inout some TokenScorer,
        progress: ProgressHandler? = nil
    ) throws -> [[Hypothesis]] {
        let beams = plan.settings.numBeams
        var groups = (0..<count).map { number in
            Group(
                number: number, beams: Array(repeating: [plan.start], count: beams),
                scores: [0] + Array(repeating: Self.closed, count: beams - 1),
                kept: BeamHypotheses(plan))
        }
        var active = Array(0..<count)
        var length = 1
        while length < plan.maxLength, !active.isEmpty {
            try Task.checkCancellation()
            let candidates = try candidates(
                active.map { groups[$0] }, questions, length: length, &scorer)
            let rows = length == 1 ? 1 : beams
            var (tokens, parents): ([Int32], [Int32]) = ([], [])
            var left: [Int] = []
            for (place, number) in active.enumerated() {
                let next = advance(&groups[number], candidates[place], length: length + 1)
                guard !groups[number].isDone else { continue }
                left.append(number)
                tokens += next.map(\.token)
                parents += next.map { Int32(place * rows + (length == 1 ? 0 : $0.beam)) }
            }
            active = left
            length += 1
            if let progress {
                for (place, number) in active.enumerated() {
                    let posterior = scorer.documentPosterior(
                        row: Int(parents[place * beams]), token: tokens[place * beams])
                    try report(&groups[number], posterior, progress)
                }
            }
            guard !active.isEmpty, length < plan.maxLength else { break }
            scorer.choose(tokens, continuing: parents, rowsPerGroup: beams)
        }
        return groups.map(finalize)
    }

    /// A beam continued by a token.
    private struct Candidate {
        var beam: Int
        var token: Int32
        var score: Float
    }

    /// The best continuations of each group, best first: enough to continue a group even if each of
    /// its beams can end.
    private func candidates(
        _ groups: [Group], _ questions: [Int], length: Int, _ scorer: inout some TokenScorer
    ) throws -> [[Candidate]] {
        let scores = scorer.scores()
        let (beams, vocabulary) = (plan.settings.numBeams, scores.dim(1))
        let rows = length == 1 ? 1 : beams
        ragkit_log_softmax(scores.dim(0), vocabulary, scores.pointer, scores.writablePointer)
        try plan.process(
            scores, after: groups.flatMap { $0.beams.prefix(rows) },
            of: groups.flatMap { repeatElement(questions[$0.number], count: rows) })
        let offsets = groups.flatMap(\.scores)
        // In the first step all beams share the group's only row.
        let rowStride = length == 1 ? 0 : vocabulary
        let count = min(max(2, 1 + plan.eos.count) * beams, beams * vocabulary)
        let found: [(place: Int32, score: Float)]
        if plan.settings.doSample {
            let stream = SampleStream(seed: plan.settings.seed)
            found = groups.indices.flatMap { place in
                stream.continuations(
                    scores.pointer + place * rows * vocabulary, beams: beams,
                    vocabulary: vocabulary, rowStride: rowStride,
                    offsets: offsets[place * beams..<(place + 1) * beams], count: count,
                    question: groups[place].number, step: length)
            }
        } else {
            let (places, best) = topScores(
                scores.pointer, groups: groups.count, rows: beams, width: vocabulary,
                groupStride: rows * vocabulary, rowStride: rowStride, offsets: offsets,
                count: count)
            found = Array(zip(places, best))
        }
        return groups.indices.map { group in
            found[group * count..<(group + 1) * count].map {
                Candidate(
                    beam: Int($0.place) / vocabulary, token: $0.place % Int32(vocabulary),
                    score: $0.score)
            }
        }
    }

    /// Keeps candidates that end; the others become the group's beams.
    ///
    /// - Parameter length: the length with the candidates' tokens.
    /// - Returns: the new beams, as candidates.
    private func advance(
        _ group: inout Group, _ candidates: [Candidate], length: Int
    ) -> [Candidate] {
        let beams = plan.settings.numBeams
        var next: [Candidate] = []
        for (rank, candidate) in candidates.enumerated() where next.count < beams {
            if !plan.eos.contains(candidate.token) {
                next.append(candidate)
            } else if rank < beams {
                group.kept.add(
                    group.beams[candidate.beam] + [candidate.token], candidate.score,
                    length: length - 1)
            }
        }
        // Only a vocabulary with hardly any other tokens than ends leaves a beam without
        // continuation.
        while next.count < beams {
            next.append(Candidate(beam: 0, token: plan.eos[0], score: -.infinity))
        }
        if let best = candidates.first?.score, group.kept.isDone(best, length: length - 1) {
            group.isDone = true
        }
        group.beams = next.map { group.beams[$0.beam] + [$0.token] }
        group.scores = next.map(\.score)
        return next
    }

    /// The group's best hypotheses, open beams included if it was not done.
    private func finalize(_ group: Group) -> [Hypothesis] {
        var kept = group.kept
        if !group.isDone {
            for (beam, score) in zip(group.beams, group.scores) {
                kept.add(beam, score, length: beam.count - 1)
            }
        }
        return Array(kept.sorted.prefix(plan.settings.numReturnSequences))
    }

    /// Reports the tokens that all open beams and kept hypotheses begin with.
    private func report(
        _ group: inout Group, _ posterior: [Float]?, _ progress: ProgressHandler
    ) throws {
        let all = group.beams + group.kept.sorted.map(\.tokenIDs)
        let settled = all.dropFirst().reduce(all[0]) { common, ids in
            Array(zip(common, ids).prefix { $0.0 == $0.1 }.map(\.0))
        }
        guard settled.count > group.reported else { return }
        group.reported = settled.count
        try progress(
            DecodingProgress(group: group.number, settled: settled, posterior: posterior))
    }
}

/// The best ended sequences of a group.
struct BeamHypotheses {
    private let beams: Int
    private let lengthPenalty: Double
    private let earlyStopping: GenerationConfiguration.EarlyStopping
    private let longest: Int
    private var list: [(score: Double, hypothesis: Hypothesis)] = []
    private var worst = 1e9

    init(_ plan: DecodingPlan) {
        beams = plan.settings.numBeams
        lengthPenalty = Double(plan.settings.lengthPenalty)
        earlyStopping = plan.settings.earlyStopping
        longest = plan.maxLength - 1
    }

    /// - Parameter length: the number of tokens generated, with the end token and without the
    ///   start.
    mutating func add(_ ids: [Int32], _ logProbability: Float, length: Int) {
        let score = attainable(logProbability, length)
        guard list.count < beams || score > worst else { return }
        list.append(
            (
                score,
                Hypothesis(tokenIDs: ids, score: Float(score), logProbability: logProbability)
            ))
        guard list.count > beams else {
            worst = min(score, worst)
            return
        }
        if let lowest = ascending.first { list.remove(at: lowest) }
        worst = ascending.first.map { list[$0].score } ?? worst
    }

    /// True if no open sequence can enter the list any more.
    ///
    /// - Parameters:
    ///   - best: the best running sum of log-probabilities.
    ///   - length: the number of tokens generated so far.
    func isDone(_ best: Float, length: Int) -> Bool {
        guard list.count >= beams else { return false }
        switch earlyStopping {
        case .whenEnough: return true
        case .heuristic: return worst >= attainable(best, length)
        case .never:
            return worst >= attainable(best, lengthPenalty > 0 ? longest : length)
        }
    }

    /// The hypotheses, best first; of equal ones the last that was added.
    var sorted: [Hypothesis] { ascending.reversed().map { list[$0].hypothesis } }

    private var ascending: [Int] {
        list.indices.sorted { (list[$0].score, $0) < (list[$1].score, $1) }
    }

    private func attainable(_ sum: Float, _ length: Int) -> Double {
        Double(sum) / pow(Double(max(length, 1)), lengthPenalty)
    }
}
