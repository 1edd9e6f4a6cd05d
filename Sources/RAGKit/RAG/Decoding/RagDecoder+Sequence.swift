import Foundation

extension RagDecoder {
    /// A sequence that some document's beams found.
    struct Candidate {
        let question: Int
        let ids: [Int32]
        /// Its log-probability given each document whose beams found it.
        var found: [Int: Float]
    }

    /// The candidates of all questions in the order found; equal ones of a question once if asked.
    func candidates(_ byContext: [[Hypothesis]]) -> [Candidate] {
        var all: [Candidate] = []
        let merges =
            model.configuration.doDeduplication
            || model.configuration.sequenceDecoding == .fast
        for question in 0..<task.evidence.count {
            var placeOf: [[Int32]: Int] = [:]
            for document in 0..<documents {
                for hypothesis in byContext[question * documents + document] {
                    let ids = hypothesis.tokenIDs
                    if merges, let place = placeOf[ids] {
                        all[place].found[document] = hypothesis.logProbability
                        continue
                    }
                    placeOf[ids] = all.count
                    all.append(
                        Candidate(
                            question: question, ids: ids,
                            found: [document: hypothesis.logProbability]))
                }
            }
        }
        return all
    }

    /// The candidates of each question that are most probable given all documents, best first.
    func best(_ candidates: [Candidate]) throws -> [[Hypothesis]] {
        let scores = try scores(candidates)
        return (0..<task.evidence.count).map { question in
            candidates.indices.filter { candidates[$0].question == question }
                .sorted { (scores[$0], $1) > (scores[$1], $0) }
                .prefix(returned)
                .map {
                    Hypothesis(
                        tokenIDs: candidates[$0].ids, score: scores[$0],
                        logProbability: scores[$0])
                }
        }
    }

    private func scores(_ candidates: [Candidate]) throws -> [Float] {
        switch model.configuration.sequenceDecoding {
        case .thorough:
            let questions = candidates.map(\.question)
            let settings = model.configuration
            return try loss(
                candidates.map(\.ids), questions, task.liveScores,
                smoothing: settings.compatibility.ranksBySmoothedLoss
                    ? settings.labelSmoothing : 0,
                bosGroups: questions
            ).perExample.elements.map { -$0 }
        case .fast:
            let priors = task.liveScores.logSoftmax().elements
            return candidates.map { candidate in
                let joint = candidate.found.map { document, logProbability in
                    Double(priors[candidate.question * documents + document])
                        + Double(logProbability)
                }
                let best = joint.max() ?? -.infinity
                guard best > -.infinity else { return -.infinity }
                return Float(best + log(joint.sorted().reduce(0) { $0 + exp($1 - best) }))
            }
        }
    }
}
