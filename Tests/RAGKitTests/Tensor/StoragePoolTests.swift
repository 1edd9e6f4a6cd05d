import Testing

@testable import RAGKit

/// In processes of their own, since every test shares the one pool.
@Suite struct StoragePoolTests {
    @Test func aFreedBlockIsUsedAgain() async {
        await #expect(processExitsWith: .success) {
            var storage: TensorStorage? = TensorStorage(count: 100_003)
            let address = storage?.pointer
            storage = nil
            // The next size class holds it too: sizes an eighth of a power of two apart.
            let next = TensorStorage(count: 100_001)
            #expect(next.pointer == address)
            #expect(TensorStorage(count: 100_003).pointer != address)
        }
    }

    @Test func liveStoragesAreCounted() async {
        await #expect(processExitsWith: .success) {
            let start = StoragePool.live.load(ordering: .relaxed)
            var held: [Tensor] = (0..<10).map { Tensor.full([$0], 1) }
            held.append(held[3])
            held.append(held[4].reshaped([2, 2]))
            #expect(StoragePool.live.load(ordering: .relaxed) == start + 10)
            held = []
            #expect(StoragePool.live.load(ordering: .relaxed) == start)
        }
    }

    @Test func trimmingGivesCachedBlocksBack() async {
        await #expect(processExitsWith: .success) {
            for count in [0, 1, 15, 16, 17, 1024, 1025, 5000, 1 << 20] { _ = Tensor.zeros([count]) }
            let kept = Tensor.counting([5000])
            StoragePool.shared.trim()
            #expect(kept.elements.last == 4999)
            #expect(Tensor.full([5000], 3).elements.allSatisfy { $0 == 3 })
        }
    }

    /// Blocks of every size class can be filled to the last element, side by side.
    @Test func blocksDoNotOverlap() {
        let counts = Array(0..<70) + [1023, 1024, 1025, 1279, 1280, 1281, 2047, 2048, 2049, 9999]
        let tensors = (0..<2).flatMap { round in
            counts.map { Tensor.full([$0], Float($0 * 2 + round)) }
        }
        for (index, tensor) in tensors.enumerated() {
            let value = Float(counts[index % counts.count] * 2 + index / counts.count)
            #expect(tensor.elements.allSatisfy { $0 == value }, "\(tensor.count) elements")
        }
    }
}
