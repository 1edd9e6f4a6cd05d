import Foundation
import RAGKit

/// A text with what is known of it before training.
struct MargeDocument: Sendable {
    /// Its tokens and the one that ends it.
    var ids: [Int32]
    var shard: Int
    var language: Int
}

/// Documents to reconstruct, and the texts that each of them is reconstructed from.
struct Reconstruction {
    var targets: [MargeDocument]
    var evidence: [[Int32]]
}

extension Reconstruction {
    init(_ batch: MargeBatch, of documents: [MargeDocument]) {
        self.init(
            targets: batch.targets.map { documents[$0] },
            evidence: batch.evidence.map { documents[$0].ids })
    }
}

/// Trains a MARGE model: reconstructs the documents of batches that the model itself puts together,
/// and forms the batches again every so many steps.
///
/// An example is the place of a batch in the present list.
final class MargeTask: TrainingTask {
    private let marge: MargeModel
    private let newDocuments: (_ step: Int, inout SeededGenerator) -> [MargeDocument]
    private let batcher: MargeBatcher
    private let rebuildSteps: Int
    private var random: SeededGenerator
    private var documents: [MargeDocument] = []
    private var batches: [MargeBatch] = []
    /// Measures the model during training.
    var measure: () throws -> [String: Double] = { [:] }

    /// - Parameters:
    ///   - rebuildSteps: Optimizer steps between two rebuilds.
    ///   - newDocuments: Makes the documents that batches are formed of from a step on.
    init(
        _ marge: MargeModel, batcher: MargeBatcher, rebuildSteps: Int, seed: UInt64,
        newDocuments: @escaping (_ step: Int, inout SeededGenerator) -> [MargeDocument]
    ) {
        self.marge = marge
        self.newDocuments = newDocuments
        self.batcher = batcher
        self.rebuildSteps = rebuildSteps
        random = SeededGenerator(seed: seed)
        rebuild(step: 0)
    }

    var model: Module { marge }
    /// The trainer's examples: as many as there are batches now.
    var examples: [Int] { Array(batches.indices) }

    private func rebuild(step: Int) {
        documents = newDocuments(step, &random)
        batches = batcher.batches(
            documents.map { .init(shard: $0.shard, language: $0.language) },
            vectors: marge.vectors(ofAll: documents.map(\.ids)), using: &random
        )
        .shuffled(using: &random)
    }

    func prepare(_ places: [Int]) async throws -> [MargeBatch] {
        places.map { batches[$0 % batches.count] }
    }

    func loss(_ batches: [MargeBatch]) throws -> TrainingLoss {
        marge.loss(batches.map { Reconstruction($0, of: documents) })
    }

    func afterStep(
        _ step: Int, isLast: Bool, report: (TrainingEvent) throws -> Void
    ) async throws {
        if step.isMultiple(of: rebuildSteps) && !isLast { rebuild(step: step) }
    }

    func evaluate() async throws -> [String: Double] { try measure() }

    /// The share of held-out documents whose sibling is the nearest.
    var metricForBestModel: String? { "sibling_held_out" }
}

extension MargeModel {
    /// The use of evidence: with its weights, with equal weights, or none, to measure what it adds.
    enum Reading: Sendable {
        case weighted, unweighted, nothing
    }

    /// The loss of reconstructing each target from all evidence that comes with it.
    func loss(_ batches: [Reconstruction], reading: Reading = .weighted) -> TrainingLoss {
        let targets = batches.flatMap(\.targets)
        var attended: [[Int]] = []
        var first = 0
        for batch in batches {
            let read = Array(first..<first + batch.evidence.count)
            attended += batch.targets.map { _ in reading == .nothing ? [] : read }
            first += batch.evidence.count
        }
        let evidence = encode(batches.flatMap(\.evidence))
        let weights =
            reading == .weighted
            ? relevance(
                vectors(of: targets.map(\.ids)), evidence.vectors, attending: attended)
            : nil
        let inputs = TokenBatch(
            targets.map { [startToken(language: $0.language)] + $0.ids.dropLast() })
        let states = decode(inputs, evidence.memory, attending: attended, relevance: weights)
        let labels = targets.flatMap(\.ids)
        return TrainingLoss(
            sum: -projection.logProbabilities(states, targets: labels).target.sum(),
            weight: labels.count)
    }

    /// The vectors of any number of documents, without a tape.
    func vectors(ofAll documents: [[Int32]]) -> Tensor {
        withInference {
            .concatenated(
                stride(from: 0, to: documents.count, by: 64).map { first in
                    vectors(of: Array(documents[first..<min(first + 64, documents.count)]))
                })
        }
    }
}
