import Foundation
import RAGKit
import Testing

@testable import Marge

@Suite struct MargeBatcherTests {
    @Test(arguments: 0..<UInt64(200))
    func evidenceNeverHoldsATarget(seed: UInt64) {
        var random = SeededGenerator(seed: seed)
        let count = Int.random(in: 1...40, using: &random)
        let documents = (0..<count).map { _ in
            MargeBatcher.Document(
                shard: .random(in: 0..<3, using: &random),
                language: .random(in: 0..<3, using: &random))
        }
        let vectors = Tensor.randomNormal([count, 4], using: &random)
        var batcher = MargeBatcher()
        batcher.targetsPerBatch = .random(in: 1...6, using: &random)
        batcher.neighbours = .random(in: 1...3, using: &random)
        batcher.crossesLanguages = .random(using: &random)
        let batches = batcher.batches(documents, vectors: vectors, using: &random)

        for batch in batches {
            #expect(!batch.evidence.isEmpty)
            #expect((1...batcher.targetsPerBatch).contains(batch.targets.count))
            #expect(Set(batch.evidence).count == batch.evidence.count)
            #expect(Set(batch.evidence).isDisjoint(with: batch.targets))
            #expect(batch.evidence.count <= batcher.neighbours * batch.targets.count)
            let members = batch.targets + batch.evidence
            #expect(Set(members.map { documents[$0].shard }).count == 1)
            if batcher.crossesLanguages {
                let read = Set(batch.evidence.map { documents[$0].language })
                #expect(batch.targets.allSatisfy { !read.contains(documents[$0].language) })
            }
        }
        // Each document is a target once, but for those that nothing may reconstruct.
        let expected = documents.indices.filter { target in
            documents.indices.contains { other in
                other != target && documents[other].shard == documents[target].shard
                    && !(batcher.crossesLanguages
                        && documents[other].language == documents[target].language)
            }
        }
        #expect(batches.flatMap(\.targets).sorted() == expected)
    }

    @Test func everyTargetMeetsItsNearestDocument() {
        // Document i of one language lies beside document i of the other.
        let count = 12
        let angles = (0..<2 * count).map {
            Double($0 % count) / 8 + ($0 < count ? 0 : 0.001)
        }
        let vectors = Tensor(
            angles.flatMap { [Float(cos($0)), Float(sin($0))] }, shape: [2 * count, 2])
        let documents = angles.indices.map {
            MargeBatcher.Document(shard: 0, language: $0 < count ? 0 : 1)
        }
        var random = SeededGenerator(seed: 1)
        var batcher = MargeBatcher()
        batcher.targetsPerBatch = 4
        let batches = batcher.batches(documents, vectors: vectors, using: &random)
        for batch in batches {
            for target in batch.targets {
                #expect(batch.evidence.contains((target + count) % (2 * count)))
            }
        }
        // Neighbours come together: the targets of a batch are more alike than of one at random.
        let spread = batches.filter { $0.targets.count == 4 }.map { batch in
            let places = batch.targets.map { $0 % count }
            return (places.max() ?? 0) - (places.min() ?? 0)
        }
        #expect(spread.reduce(0, +) < 5 * spread.count)
    }
}
