import ExampleSupport
import Foundation
import RAGKit

/// The almanac's things in two wordings, four of five for training, and what is measured on them.
struct Corpus {
    /// Both wordings of each thing, one after the other.
    let training: [MargeDocument]
    let heldOut: [MargeDocument]
    let vocabularySize: Int
    /// The longest document, in tokens.
    let longest: Int
    /// For each document held out, its sibling and others of the kind in the other wording.
    private let evidence: [[Int]]

    static let metrics = [
        "loss", "loss_weighed_alike", "loss_without_evidence", "sibling_train", "sibling_held_out",
    ]

    /// - Throws: `DatasetError`, or what reading the passages throws.
    init(directory: URL, seed: UInt64) throws {
        let almanac = try Almanac(directory: directory)
        let wordings = try ["passages.tsv", "passages-b.tsv"].map { name in
            let file = directory.appendingPathComponent(name)
            let texts = try PassageReader(format: .tsv).read(file).documents.map(\.text)
            guard texts.count == almanac.things.count else {
                throw DatasetError.countMismatch(
                    sources: file.path, sourceCount: texts.count,
                    targets: directory.appendingPathComponent("things.jsonl").path,
                    targetCount: almanac.things.count)
            }
            return texts
        }
        let tokenizer = try ByteBPETrainer(vocabularySize: 4000, minimumFrequency: 1).train(
            on: wordings.flatMap { $0.map { " " + $0 } })
        vocabularySize = tokenizer.vocabularySize

        var shards: [String: Int] = [:]
        var training: [MargeDocument] = []
        var heldOut: [MargeDocument] = []
        for (index, thing) in almanac.things.enumerated() {
            let shard = shards[thing.kind, default: shards.count]
            shards[thing.kind] = shard
            let pair = wordings.enumerated().map { language, texts in
                MargeDocument(
                    ids: tokenizer.encode(" " + texts[index]).ids, shard: shard,
                    language: language)
            }
            if index % 5 == 4 { heldOut += pair } else { training += pair }
        }
        longest = (training + heldOut).map(\.ids.count).max() ?? 0
        var random = SeededGenerator(seed: seed)
        evidence = heldOut.indices.map { target in
            let others = heldOut.indices.filter {
                heldOut[$0].shard == heldOut[target].shard && $0 / 2 != target / 2
                    && heldOut[$0].language != heldOut[target].language
            }
            return ([target ^ 1] + others.shuffled(using: &random).prefix(3)).shuffled(
                using: &random)
        }
        self.training = training
        self.heldOut = heldOut
    }

    /// Losses in nats a token, and shares in percent, by the names in `metrics`.
    func measure(_ model: MargeModel) -> [String: Double] {
        let readings: [MargeModel.Reading] = [.weighted, .unweighted, .nothing]
        let losses = readings.map { heldOutLoss(model, $0) }
        let all = training + heldOut
        let found = siblingsFound(model.vectors(ofAll: all.map(\.ids)))
        func share(_ part: ArraySlice<Bool>) -> Double {
            100 * Double(part.count { $0 }) / Double(max(1, part.count))
        }
        let values = losses + [share(found[..<training.count]), share(found[training.count...])]
        return Dictionary(uniqueKeysWithValues: zip(Self.metrics, values))
    }

    private func heldOutLoss(_ model: MargeModel, _ reading: MargeModel.Reading) -> Double {
        ForwardContext.$current.withValue(.inference) {
            let losses = zip(heldOut, evidence).map { target, evidence in
                model.loss([target], from: evidence.map { heldOut[$0].ids }, reading: reading)
            }
            return losses.reduce(0) { $0 + Double($1.sum.item()) }
                / Double(losses.reduce(0) { $0 + $1.weight })
        }
    }

    /// For each document, whether its sibling is the nearest of all documents in the other wording.
    private func siblingsFound(_ vectors: Tensor) -> [Bool] {
        let halves = [0, 1].map { wording in
            vectors.rows(stride(from: wording, to: vectors.dim(0), by: 2).map { Int32($0) })
        }
        let nearest = [0, 1].map {
            halves[$0].matmul(halves[1 - $0], otherTransposed: true).maxIndices()
        }
        return (0..<vectors.dim(0)).map { nearest[$0 % 2][$0 / 2] == Int32($0 / 2) }
    }
}
