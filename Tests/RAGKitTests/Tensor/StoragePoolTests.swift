import Synchronization
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

    /// Blocks that were freed side by side hold larger ones, and those many small ones again: no more
    /// is used than there was at once.
    @Test func freedNeighboursAreOne() async {
        await #expect(processExitsWith: .success) {
            let megabyte = 1 << 18
            var held = (0..<12).map { _ in TensorStorage(count: 2 * megabyte) }
            let most = StoragePool.shared.arenaBytes
            #expect(most >= 24 << 20 && most < 25 << 20)
            for _ in 0..<3 {
                // Every second one first, so that each free range joins two others.
                held = held.enumerated().filter { $0.offset % 2 == 0 }.map(\.element)
                held = []
                held = (0..<3).map { _ in TensorStorage(count: 7 * megabyte) }
                held.removeFirst()
                held += (0..<3).map { _ in TensorStorage(count: 2 * megabyte) }
                held = []
                held = (0..<12).map { _ in TensorStorage(count: 2 * megabyte) }
                #expect(StoragePool.shared.arenaBytes == most)
            }
            #expect(Set(held.map(\.pointer)).count == 12)
        }
    }

    /// Random blocks come and go: none overlaps another, and in the end all is one range again.
    @Test(arguments: [[1 << 40], [8 << 20], []])
    func arenasKeepBlocksApart(sizes: [Int]) {
        var arenas = ArenaList(sizes: sizes)
        var numbers = SeededGenerator(seed: 4)
        var held: [(address: UInt, bytes: Int)] = []
        for _ in 0..<4000 {
            if held.count > 60 || (!held.isEmpty && Bool.random(using: &numbers)) {
                let gone = held.remove(at: Int.random(in: 0..<held.count, using: &numbers))
                let isKnown = arenas.recycle(gone.address, gone.bytes)
                #expect(isKnown)
            } else {
                let bytes = 64 * Int.random(in: 1...50_000, using: &numbers)
                guard let address = arenas.allocate(bytes) else {
                    Issue.record("no memory")
                    return
                }
                let end = address + UInt(bytes)
                #expect(
                    held.allSatisfy { end <= $0.address || $0.address + UInt($0.bytes) <= address })
                held.append((address, bytes))
            }
        }
        let most = arenas.usedExtent
        for (address, bytes) in held { _ = arenas.recycle(address, bytes) }
        if sizes.first == 1 << 40 {
            #expect(most < 61 * 50_000 * 64)
            let whole = arenas.allocate(most)
            #expect(whole != nil && arenas.usedExtent == most, "all is one range")
        }
        let isKnown = arenas.recycle(64, 64)
        #expect(!isKnown)
    }

    /// A block that is larger than an arena.
    @Test func blocksLargerThanAnArena() {
        var arenas = ArenaList(sizes: [4 << 20])
        let first = arenas.allocate(1 << 20)
        let large = arenas.allocate(9 << 20)
        let second = arenas.allocate(1 << 20)
        #expect(first != nil && large != nil && second == first.map { $0 + (1 << 20) })
        #expect(arenas.usedExtent == 11 << 20)
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
            let kept = Tensor.counting([5000]), large = Tensor.full([1 << 19], 7)
            StoragePool.shared.trim()
            #expect(kept.elements.last == 4999)
            #expect(large.elements.allSatisfy { $0 == 7 })
            #expect(Tensor.full([1 << 20], 2).elements.allSatisfy { $0 == 2 })
            #expect(Tensor.full([5000], 3).elements.allSatisfy { $0 == 3 })
        }
    }

    /// Blocks of every size class can be filled to the last element, side by side.
    @Test func blocksDoNotOverlap() {
        let counts =
            Array(0..<70) + [
                1023, 1024, 1025, 1279, 1280, 1281, 2047, 2048, 2049, 9999, 262_143, 262_144,
                300_001,
            ]
        let tensors = (0..<2).flatMap { round in
            counts.map { Tensor.full([$0], Float($0 * 2 + round)) }
        }
        for (index, tensor) in tensors.enumerated() {
            let value = Float(counts[index % counts.count] * 2 + index / counts.count)
            #expect(tensor.elements.allSatisfy { $0 == value }, "\(tensor.count) elements")
        }
    }
}
