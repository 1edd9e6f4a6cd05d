import Foundation
import RAGKitBLAS

/// Decodes rows one token at a time: the most probable one, or one drawn at random.
///
/// Rows that have ended leave the batch once all rows of their group have ended.
struct GreedySearch {
    let plan: DecodingPlan

    /// A sequence that is being decoded.
    private struct Row {
        let group: Int
        /// Its number within the group.
        let number: Int
        var ids: [Int32]
        var logProbability: Float = 0
        var isOpen = true
    }

    /// - Parameters:
    ///   - groups: the number of questions or contexts that the scorer has rows for.
    ///   - questions: the number of each group's question, which processors are given.
    /// - Returns: for each group `numReturnSequences` hypotheses, the most probable first.
    func run(
        groups count: Int, questions: [Int], _ scorer: inout some TokenScorer,
        progress: ProgressHandler? = nil
    ) throws -> [[Hypothesis]] {
        let perGroup = plan.settings.numReturnSequences
        var rows = (0..<count).flatMap { group in
            (0..<perGroup).map { Row(group: group, number: $0, ids: [plan.start]) }
        }
        // The row behind each of the scorer's rows, a group's together.
        var active = Array(rows.indices)
        if perGroup > 1 {
            scorer.choose(
                active.map { _ in plan.start }, continuing: active.map { Int32($0 / perGroup) },
                rowsPerGroup: perGroup)
        }
        var length = 1
        while length < plan.maxLength, !active.isEmpty {
            try Task.checkCancellation()
            let chosen = try choose(active.map { rows[$0] }, questions, scorer.scores())
            for (place, index) in active.enumerated() where rows[index].isOpen {
                let (token, logProbability) = chosen[place]
                rows[index].ids.append(token)
                rows[index].logProbability += logProbability
                rows[index].isOpen = !plan.eos.contains(token)
                guard let progress, rows[index].number == 0 else { continue }
                try progress(
                    DecodingProgress(
                        group: rows[index].group, settled: rows[index].ids,
                        posterior: scorer.documentPosterior(row: place, token: token)))
            }
            length += 1
            let open = Set(active.filter { rows[$0].isOpen }.map { rows[$0].group })
            let kept = active.indices.filter { open.contains(rows[active[$0]].group) }
            guard !kept.isEmpty, length < plan.maxLength else { break }
            scorer.choose(
                kept.map { chosen[$0].token }, continuing: kept.map { Int32($0) },
                rowsPerGroup: perGroup)
            active = kept.map { active[$0] }
        }
        return (0..<count).map { group in
            rows[group * perGroup..<(group + 1) * perGroup]
                .sorted { ($0.logProbability, $1.number) > ($1.logProbability, $0.number) }
                .map {
                    Hypothesis(
                        tokenIDs: $0.ids, score: $0.logProbability,
                        logProbability: $0.logProbability)
                }
        }
    }

    /// One token for each row, and its log-probability.
    private func choose(
        _ rows: [Row], _ questions: [Int], _ scores: Tensor
    ) throws -> [(token: Int32, logProbability: Float)] {
        let vocabulary = scores.dim(1)
        try plan.process(
            scores, after: rows.map(\.ids), of: rows.map { questions[$0.group] })
        let sums = [Float](unsafeUninitializedCapacity: rows.count) { buffer, filled in
            if let base = buffer.baseAddress {
                ragkit_log_sum_exp(rows.count, vocabulary, scores.pointer, base)
            }
            filled = rows.count
        }
        let best = plan.settings.doSample ? [] : scores.maxIndices()
        let stream = SampleStream(seed: plan.settings.seed)
        return rows.enumerated().map { place, row in
            let start = scores.writablePointer + place * vocabulary
            let token =
                plan.settings.doSample
                ? stream.token(
                    UnsafeMutableBufferPointer(start: start, count: vocabulary),
                    question: row.group, row: row.number, step: row.ids.count)
                : best[place]
            return (token, start[Int(token)] - sums[place])
        }
    }
}
