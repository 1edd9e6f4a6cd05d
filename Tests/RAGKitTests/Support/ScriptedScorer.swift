import Foundation
import Testing

@testable import RAGKit

/// Logits that are a function of what a row has written, so that searches can be compared with plain
/// loops over sequences.
struct ScriptedScorer: TokenScorer {
    let vocabulary: Int
    let seed: UInt64
    /// What each row has written, the start token included, and its group.
    private(set) var rows: [(ids: [Int32], group: Int)]
    /// How many rows each step scored.
    private(set) var scored: [Int] = []

    init(groups: Int, vocabulary: Int, seed: UInt64, start: Int32) {
        self.vocabulary = vocabulary
        self.seed = seed
        rows = (0..<groups).map { ([start], $0) }
    }

    /// The logits after a sequence; the last id is the end, and becomes likelier with length.
    static func logits(
        after ids: [Int32], group: Int, vocabulary: Int, seed: UInt64
    ) -> [Float] {
        var hash = SeededGenerator.mixed(seed &+ UInt64(group) &* 77)
        for id in ids { hash = SeededGenerator.mixed(hash &* 31 &+ UInt64(id)) }
        var numbers = SeededGenerator(seed: hash)
        var logits = (0..<vocabulary).map { _ in Float(numbers.nextNormal()) * 1.5 }
        logits[vocabulary - 1] += Float(ids.count) / 3 - 1
        return logits
    }

    mutating func scores() -> Tensor {
        scored.append(rows.count)
        return Tensor(
            rows.flatMap {
                Self.logits(after: $0.ids, group: $0.group, vocabulary: vocabulary, seed: seed)
            }, shape: [rows.count, vocabulary])
    }

    mutating func choose(_ tokens: [Int32], continuing parents: [Int32], rowsPerGroup: Int) {
        // A start token chosen before the first step is no second one.
        rows = zip(parents, tokens).map { parent, token in
            let (ids, group) = rows[Int(parent)]
            return (scored.isEmpty ? ids : ids + [token], group)
        }
        for row in rows.indices {
            #expect(rows[row].group == rows[row - row % rowsPerGroup].group)
        }
    }

    func documentPosterior(row: Int, token: Int32) -> [Float]? { [1] }
}

/// Beam search as the reference says it, one beam and one candidate at a time, in Double.
struct NaiveBeamSearch {
    let settings: GenerationConfiguration
    let vocabulary: Int
    let seed: UInt64
    let start: Int32
    let eos: [Int32]

    func run(group: Int) -> [[Int32]] {
        let beams = settings.numBeams
        let penalty = Double(settings.lengthPenalty)
        var open: [(ids: [Int32], score: Double)] = Array(repeating: ([start], -1e9), count: beams)
        open[0].score = 0
        var kept: [(score: Double, ids: [Int32])] = []
        func keep(_ ids: [Int32], _ sum: Double) {
            kept.append((sum / pow(Double(ids.count - 1), penalty), ids))
            guard kept.count > beams else { return }
            var lowest = 0
            for index in kept.indices where kept[index].score < kept[lowest].score {
                lowest = index
            }
            kept.remove(at: lowest)
        }
        var isDone = false
        while open[0].ids.count < settings.maxLength, !isDone {
            var candidates: [(ids: [Int32], score: Double)] = []
            for beam in open {
                let logits = ScriptedScorer.logits(
                    after: beam.ids, group: group, vocabulary: vocabulary, seed: seed)
                let logs = Naive.logSoftmax(logits.map(Double.init))
                for (token, log) in logs.enumerated() {
                    candidates.append((beam.ids + [Int32(token)], beam.score + log))
                }
            }
            candidates.sort { $0.score > $1.score }
            let best = candidates[0].score
            var next: [(ids: [Int32], score: Double)] = []
            for (rank, candidate) in candidates.prefix((1 + eos.count) * beams).enumerated() {
                guard next.count < beams else { break }
                if eos.contains(candidate.ids.last ?? 0) {
                    if rank < beams { keep(candidate.ids, candidate.score) }
                } else {
                    next.append(candidate)
                }
            }
            open = next
            guard kept.count >= beams else { continue }
            let worst = kept.map(\.score).min() ?? 0
            let length = Double(open[0].ids.count - 1)
            let longest = Double(settings.maxLength - 1)
            switch settings.earlyStopping {
            case .whenEnough: isDone = true
            case .heuristic: isDone = worst >= best / pow(length, penalty)
            case .never: isDone = worst >= best / pow(penalty > 0 ? longest : length, penalty)
            }
        }
        if !isDone { for beam in open { keep(beam.ids, beam.score) } }
        return kept.sorted { $0.score > $1.score }.prefix(settings.numReturnSequences).map(\.ids)
    }
}
