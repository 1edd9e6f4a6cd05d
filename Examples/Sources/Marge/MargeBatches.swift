import RAGKit

/// Documents to reconstruct, and those they are reconstructed from; none is both.
struct MargeBatch: Sendable, Equatable {
    var targets: [Int]
    var evidence: [Int]
}

/// Puts documents and their likely relatives into batches.
///
/// Documents are compared within their shard (one topic, one day's news). Batches grow greedily: the
/// next target is the one most relevant to the evidence there is, and brings its own nearest
/// documents with it, so that every target meets its best candidates among other targets' ones.
///
/// Source: Lewis et al. 2020, arXiv:2006.15020, section 2.4.
struct MargeBatcher: Sendable {
    /// The properties of a document that are known before training.
    struct Document: Sendable {
        var shard: Int
        var language: Int
    }

    var targetsPerBatch = 8
    /// The number of nearest documents that each target brings.
    var neighbours = 1
    /// Documents are reconstructed from other languages only.
    var crossesLanguages = true

    /// Batches in which each document is a target once, unless it has no relatives at all.
    ///
    /// - Parameters:
    ///   - documents: in the order of the vectors.
    ///   - vectors: `[documents, width]`, compared by their cosines.
    func batches(
        _ documents: [Document], vectors: Tensor, using generator: inout some RandomNumberGenerator
    ) -> [MargeBatch] {
        let shards = Dictionary(grouping: documents.indices) { documents[$0].shard }
        return shards.keys.sorted().flatMap { shard in
            let members = shards[shard] ?? []
            let rows = vectors.detached.rows(members.map { Int32($0) })
            var assembly = Assembly(
                self, members.map { documents[$0].language },
                relevance: RelevanceScorer.cosine.allScores(rows, rows).elements)
            return assembly.batches(members.indices.shuffled(using: &generator)).map { batch in
                MargeBatch(
                    targets: batch.targets.map { members[$0] },
                    evidence: batch.evidence.map { members[$0] })
            }
        }
    }
}

/// The batches of one shard, whose members are counted from 0.
private struct Assembly {
    let settings: MargeBatcher
    let languages: [Int]
    /// The relevance of each pair, `[members, members]`.
    let relevance: [Float]
    /// The documents each member may be reconstructed from, most relevant first.
    var candidates: [[Int]] = []

    init(_ settings: MargeBatcher, _ languages: [Int], relevance: [Float]) {
        self.settings = settings
        self.languages = languages
        self.relevance = relevance
        candidates = languages.indices.map { target in
            languages.indices.filter { isAllowed($0, for: target) }.sorted {
                (score(target, $0), $1) > (score(target, $1), $0)
            }
        }
    }

    private func score(_ a: Int, _ b: Int) -> Float { relevance[a * languages.count + b] }

    private func isAllowed(_ evidence: Int, for target: Int) -> Bool {
        evidence != target
            && !(settings.crossesLanguages && languages[evidence] == languages[target])
    }

    mutating func batches(_ order: [Int]) -> [MargeBatch] {
        var waiting = order.filter { !candidates[$0].isEmpty }
        var result: [MargeBatch] = []
        while let seed = waiting.popLast() {
            var batch = MargeBatch(targets: [], evidence: [])
            add(seed, to: &batch)
            while batch.targets.count < settings.targetsPerBatch,
                let place = next(waiting, batch)
            { add(waiting.remove(at: place), to: &batch) }
            result.append(batch)
        }
        return result
    }

    /// Where the target most relevant to the batch's evidence waits.
    private func next(_ waiting: [Int], _ batch: MargeBatch) -> Int? {
        func total(_ place: Int) -> Float {
            batch.evidence.reduce(0) { $0 + score(waiting[place], $1) }
        }
        return waiting.indices.filter { place in
            let target = waiting[place]
            // Its evidence must not be a target, nor it anybody's evidence, now or when it has come.
            return batch.evidence.allSatisfy { isAllowed($0, for: target) }
                && candidates[target].contains { candidate in
                    batch.targets.allSatisfy { isAllowed(candidate, for: $0) }
                }
        }.map { (total: total($0), place: $0) }.max { ($0.total, $1.place) < ($1.total, $0.place) }?
        .place
    }

    private func add(_ target: Int, to batch: inout MargeBatch) {
        batch.targets.append(target)
        let nearest = candidates[target].filter { candidate in
            batch.targets.allSatisfy { isAllowed(candidate, for: $0) }
        }
        for document in nearest.prefix(settings.neighbours)
        where !batch.evidence.contains(document) { batch.evidence.append(document) }
    }
}
