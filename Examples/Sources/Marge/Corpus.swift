import ExampleSupport
import Foundation
import RAGKit

/// The almanac in its two wordings: what a model is trained on, and what is measured on it.
struct Corpus {
    let vocabularySize: Int
    /// The longest document that may come, in tokens.
    let maxTokens = 160
    /// Things in a shard, each described twice.
    let shardSize: Int
    /// The documents of the almanac as it is, both wordings of each thing one after the other.
    private var documents: [MargeDocument] = []
    /// Documents of things held out; each has its sibling in the evidence, and those of others.
    private let batches: [MargeBatch]
    private let almanac: Almanac
    private let kinds: [String]
    private let words: [String]
    private let tokenizer: any Tokenizer

    static let metrics = [
        "loss", "loss_weighed_alike", "loss_without_evidence", "sibling_train", "sibling_held_out",
    ]

    /// - Throws: `DatasetError`, or what training a tokenizer throws.
    init(directory: URL, vocabularySize: Int, shardSize: Int) throws {
        self.shardSize = shardSize
        almanac = try Almanac(directory: directory)
        let texts = almanac.things.flatMap(\.texts)
        tokenizer = try ByteBPETrainer(vocabularySize: vocabularySize, minimumFrequency: 1).train(
            on: texts.map { " " + $0 })
        self.vocabularySize = tokenizer.vocabularySize
        words = Set(texts.flatMap { $0.split(separator: " ").map(String.init) }).sorted()
        kinds = Set(almanac.things.map(\.kind)).sorted()
        batches = Self.heldOutBatches(almanac.things)
        documents = almanac.things.flatMap { thing in
            thing.texts.enumerated().map { wording, text in
                MargeDocument(ids: ids(of: " " + text), shard: 0, language: wording)
            }
        }
    }

    /// Four things of a kind at a time, one wording from the other.
    private static func heldOutBatches(_ things: [Almanac.Thing]) -> [MargeBatch] {
        let heldOut = things.indices.filter { things[$0].split != "train" }
        let ofKind = Dictionary(grouping: heldOut) { things[$0].kind }
        return ofKind.keys.sorted().flatMap { kind in
            let members = ofKind[kind] ?? []
            return stride(from: 0, to: members.count, by: 4).flatMap { first in
                let some = members[first..<min(first + 4, members.count)]
                let (a, b) = (some.map { 2 * $0 }, some.map { 2 * $0 + 1 })
                return [MargeBatch(targets: a, evidence: b), MargeBatch(targets: b, evidence: a)]
            }
        }
    }

    /// The ids of a text, cut if need be, and the end token.
    private func ids(of text: String) -> [Int32] {
        Array(tokenizer.encode(text, maxLength: maxTokens).ids.dropFirst())
    }

    /// New documents to train on: both wordings of things that are not held out, with names and
    /// facts that changed places, so that nothing can be learnt by heart.
    func newDocuments(using generator: inout some RandomNumberGenerator) -> [MargeDocument] {
        let things = almanac.shuffledThings(using: &generator).filter { $0.split == "train" }
        return inShards(things, using: &generator).flatMap { shard, thing in
            thing.texts.enumerated().map { wording, text in
                MargeDocument(ids: ids(of: " " + text), shard: shard, language: wording)
            }
        }
    }

    /// As many lists of random words, each the same in both languages: all there is to learn from
    /// them is to copy.
    func newLists(using generator: inout some RandomNumberGenerator) -> [MargeDocument] {
        let things = almanac.things.filter { $0.split == "train" }
        return inShards(things, using: &generator).flatMap { shard, _ in
            let list = (0..<16).map { _ in " " + (words.randomElement(using: &generator) ?? "") }
            let ids = ids(of: list.joined())
            return [0, 1].map { MargeDocument(ids: ids, shard: shard, language: $0) }
        }
    }

    /// Things at random in shards of one kind, as news would be by their date.
    private func inShards(
        _ things: [Almanac.Thing], using generator: inout some RandomNumberGenerator
    ) -> [(shard: Int, thing: Almanac.Thing)] {
        var result: [(shard: Int, thing: Almanac.Thing)] = []
        var shards = 0
        for kind in kinds {
            let members = things.filter { $0.kind == kind }.shuffled(using: &generator)
            for (place, thing) in members.enumerated() {
                result.append((shards + place / shardSize, thing))
            }
            shards += (members.count + shardSize - 1) / shardSize
        }
        return result
    }

    // MARK: Measuring

    /// Losses in nats a token, and shares in percent, by the names in `metrics`.
    func measure(_ model: MargeModel) -> [String: Double] {
        let readings: [MargeModel.Reading] = [.weighted, .unweighted, .nothing]
        let found = siblingsFound(model.vectors(ofAll: documents.map(\.ids)))
        func share(_ isMember: (Almanac.Thing) -> Bool) -> Double {
            let members = found.indices.filter { isMember(almanac.things[$0 / 2]) }
            return 100 * Double(members.count { found[$0] }) / Double(max(1, members.count))
        }
        let values =
            readings.map { heldOutLoss(model, $0) }
            + [share { $0.split == "train" }, share { $0.split != "train" }]
        return Dictionary(uniqueKeysWithValues: zip(Self.metrics, values))
    }

    private func heldOutLoss(_ model: MargeModel, _ reading: MargeModel.Reading) -> Double {
        withInference {
            let losses = stride(from: 0, to: batches.count, by: 8).map { first in
                model.loss(
                    batches[first..<min(first + 8, batches.count)].map {
                        Reconstruction($0, of: documents)
                    }, reading: reading)
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
            RelevanceScorer.cosine.allScores(halves[$0], halves[1 - $0]).maxIndices()
        }
        return (0..<vectors.dim(0)).map { nearest[$0 % 2][$0 / 2] == Int32($0 / 2) }
    }
}
