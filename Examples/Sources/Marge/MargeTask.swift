import Foundation
import RAGKit

/// A text with what is known of it before training.
struct MargeDocument: Sendable {
    var ids: [Int32]
    var shard: Int
    var language: Int
}

/// Trains a MARGE model: reconstructs the documents of batches that the model itself puts together,
/// and makes the batches anew every so many steps.
///
/// An example is the place of a batch in the present list.
final class MargeTask: TrainingTask {
    private let marge: MargeModel
    private let documents: [MargeDocument]
    private let batcher: MargeBatcher
    private let rebuildSteps: Int
    private var random: SeededGenerator
    private var batches: [MargeBatch] = []
    /// Measures the model during training; by the step.
    var measure: () throws -> [String: Double] = { [:] }

    /// - Parameter rebuildSteps: optimizer steps between two rebuilds.
    init(
        _ marge: MargeModel, _ documents: [MargeDocument], batcher: MargeBatcher,
        rebuildSteps: Int, seed: UInt64
    ) {
        self.marge = marge
        self.documents = documents
        self.batcher = batcher
        self.rebuildSteps = rebuildSteps
        random = SeededGenerator(seed: seed)
        rebuild()
    }

    var model: Module { marge }
    /// The trainer's examples: as many as there are batches now.
    var examples: [Int] { Array(batches.indices) }

    private func rebuild() {
        batches = batcher.batches(
            documents.map { .init(shard: $0.shard, language: $0.language) },
            vectors: marge.vectors(ofAll: documents.map(\.ids)), using: &random)
    }

    func prepare(_ places: [Int]) async throws -> [MargeBatch] {
        places.map { batches[$0 % batches.count] }
    }

    func loss(_ batches: [MargeBatch]) throws -> TrainingLoss {
        let losses = batches.map { batch in
            marge.loss(
                batch.targets.map { documents[$0] }, from: batch.evidence.map { documents[$0].ids })
        }
        return TrainingLoss(
            sum: losses.dropFirst().reduce(losses[0].sum) { $0 + $1.sum },
            weight: losses.reduce(0) { $0 + $1.weight })
    }

    func afterStep(_ step: Int, isLast: Bool) async throws -> RefreshReport? {
        if step.isMultiple(of: rebuildSteps) && !isLast { rebuild() }
        return nil
    }

    func evaluate() async throws -> [String: Double] { try measure() }
}

extension MargeModel {
    /// How evidence is used: as it is meant, or less, to see what it is good for.
    enum Reading: Sendable {
        case weighted, unweighted, nothing
    }

    /// The loss of reconstructing `targets`, each from all of the evidence.
    func loss(
        _ targets: [MargeDocument], from evidence: [[Int32]], reading: Reading = .weighted
    ) -> TrainingLoss {
        let texts = targets.map { $0.ids.dropFirst() }  // without the encoder's first token
        let inputs = TokenBatch(
            zip(targets, texts).map { [startToken(language: $0.language)] + $1.dropLast() })
        let read = encode(TokenBatch(evidence))
        let all = reading == .nothing ? [] : Array(evidence.indices)
        let attended = targets.map { _ in all }
        let weights =
            reading == .weighted
            ? relevance(
                vectors(of: TokenBatch(targets.map(\.ids))), read.vectors, attending: attended)
            : nil
        let states = decode(inputs, read.memory, attending: attended, relevance: weights)
        let labels = texts.flatMap { $0 }
        return TrainingLoss(
            sum: -projection.logProbabilities(states, targets: labels).target.sum(),
            weight: labels.count)
    }

    /// The vectors of any number of documents, without a tape.
    func vectors(ofAll documents: [[Int32]]) -> Tensor {
        ForwardContext.$current.withValue(.inference) {
            .concatenated(
                stride(from: 0, to: documents.count, by: 64).map { first in
                    vectors(
                        of: TokenBatch(documents[first..<min(first + 64, documents.count)]))
                })
        }
    }
}
