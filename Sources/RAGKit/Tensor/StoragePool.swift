import RAGKitBLAS
import Synchronization

/// Recycles blocks of memory, since fresh pages cost more than the arithmetic done on them.
///
/// Small blocks are handed out in size classes an eighth of a power of two apart, the most recently
/// used first, because it is the one still in cache. Large ones are cut out of arenas, in which
/// neighbours that are free are one: activations that a backward pass has done with become the memory
/// of gradients, so that no more is held than was in use at once.
final class StoragePool: Sendable {
    static let shared = StoragePool()
    /// Storages alive now; tests check that it returns to where it was.
    static let live = Atomic<Int>(0)

    private struct State: ~Copyable {
        /// Addresses of small blocks, by their size in bytes.
        var free: [Int: [UInt]] = [:]
        var cachedBytes = 0
        var usedBytes = 0
        var peakUsedBytes = 0
        var arenas = ArenaList()
    }
    private let state = Mutex(State())

    /// From so many bytes on a block is large.
    private static let large = 1 << 20

    /// The capacity in bytes of a block that holds `count` elements.
    private static func capacity(_ count: Int) -> Int {
        let bytes = max(64, count * MemoryLayout<Float>.stride)
        guard bytes > 4096 else { return (bytes + 63) & ~63 }
        guard bytes < large else { return (bytes + granule - 1) / granule * granule }
        let step = 1 << (Int.bitWidth - 1 - (bytes - 1).leadingZeroBitCount - 2)
        return (bytes + step - 1) / step * step
    }

    /// Large blocks are multiples of 65 cache lines. Those that all began at one place of a page would
    /// be mistaken for one another by processors that compare the last 12 bits of addresses first.
    private static let granule = 65 * 64

    func allocate(_ count: Int) -> UnsafeMutablePointer<Float> {
        let bytes = Self.capacity(count)
        let recycled: UInt? = state.withLock { state in
            guard bytes < Self.large else { return state.arenas.allocate(bytes) }
            state.usedBytes += bytes
            state.peakUsedBytes = max(state.peakUsedBytes, state.usedBytes)
            guard let block = state.free[bytes]?.popLast() else { return nil }
            state.cachedBytes -= bytes
            return block
        }
        let block =
            recycled.flatMap { UnsafeMutableRawPointer(bitPattern: $0) }
            ?? UnsafeMutableRawPointer.allocate(byteCount: bytes, alignment: 64)
        return block.bindMemory(to: Float.self, capacity: count)
    }

    func recycle(_ pointer: UnsafeMutablePointer<Float>, _ count: Int) {
        let bytes = Self.capacity(count)
        let address = UInt(bitPattern: pointer)
        // What is kept of small blocks never exceeds the most that was in use.
        let kept = state.withLock { state in
            guard bytes < Self.large else { return state.arenas.recycle(address, bytes) }
            state.usedBytes -= bytes
            guard state.cachedBytes + bytes <= max(64 << 20, state.peakUsedBytes) else {
                return false
            }
            state.free[bytes, default: []].append(address)
            state.cachedBytes += bytes
            return true
        }
        if !kept { UnsafeMutableRawPointer(pointer).deallocate() }
    }

    /// Gives the memory of everything that is not in use back to the system.
    func trim() {
        let blocks = state.withLock { state in
            let all = state.free.values.flatMap { $0 }
            state.free.removeAll()
            state.cachedBytes = 0
            state.peakUsedBytes = state.usedBytes
            state.arenas.trim()
            return all
        }
        for block in blocks { UnsafeMutableRawPointer(bitPattern: block)?.deallocate() }
    }

    /// The part of the arenas that was ever used.
    var arenaBytes: Int { state.withLock { $0.arenas.usedExtent } }
}

/// Large blocks, cut out of a few ranges of addresses. A page of them takes no memory before it is
/// written to.
struct ArenaList {
    private struct FreeRange {
        var offset: Int
        var bytes: Int
        var end: Int { offset + bytes }
    }

    private struct Arena {
        let base: UInt
        let bytes: Int
        /// The free ranges, by ascending offset; no two are neighbours.
        var free: [FreeRange]
        /// The end of the highest block there ever was.
        var usedExtent = 0

        /// Takes the beginning of a free range, which was in use before its end.
        mutating func take(_ bytes: Int, from range: Int) -> UInt {
            let offset = free[range].offset
            free[range].offset += bytes
            free[range].bytes -= bytes
            if free[range].bytes == 0 { free.remove(at: range) }
            usedExtent = max(usedExtent, offset + bytes)
            return base + UInt(offset)
        }

        /// Makes a block free again, one with the free ranges on either side.
        mutating func recycle(_ block: FreeRange) {
            let place = free.firstIndex { $0.offset > block.offset } ?? free.count
            free.insert(block, at: place)
            joinNext(of: place)
            if place > 0 { joinNext(of: place - 1) }
        }

        private mutating func joinNext(of place: Int) {
            guard place + 1 < free.count, free[place].end == free[place + 1].offset else { return }
            let next = free.remove(at: place + 1)
            free[place].bytes += next.bytes
        }
    }

    private var arenas: [Arena] = []
    /// The number of addresses an arena is to have; the next where the system refuses.
    private let sizes: [Int]

    /// Blocks of many arenas leave more between them: those of a training step fit into one with a
    /// hundredth to spare, into arenas of 1 GiB with up to a fifth.
    init(sizes: [Int] = [64 << 30, 1 << 30]) { self.sizes = sizes }

    var usedExtent: Int { arenas.reduce(0) { $0 + $1.usedExtent } }

    /// Takes the smallest free range that is large enough; `nil` where the system has no more.
    mutating func allocate(_ bytes: Int) -> UInt? {
        var best: (arena: Int, range: Int, bytes: Int)?
        for arena in arenas.indices {
            for (index, range) in arenas[arena].free.enumerated()
            where range.bytes >= bytes && range.bytes < best?.bytes ?? .max {
                best = (arena, index, range.bytes)
            }
        }
        guard let best else {
            guard addArena(for: bytes) else { return nil }
            return arenas[arenas.count - 1].take(bytes, from: 0)
        }
        return arenas[best.arena].take(bytes, from: best.range)
    }

    private mutating func addArena(for bytes: Int) -> Bool {
        for size in sizes.filter({ $0 > bytes }) + [bytes] {
            guard let base = ragkit_reserve(size) else { continue }
            arenas.append(
                Arena(
                    base: UInt(bitPattern: base), bytes: size,
                    free: [FreeRange(offset: 0, bytes: size)]))
            return true
        }
        return false
    }

    /// Makes a block free again; `false` if it came from elsewhere.
    mutating func recycle(_ address: UInt, _ bytes: Int) -> Bool {
        guard
            let arena = arenas.firstIndex(where: {
                $0.base <= address && address < $0.base + UInt($0.bytes)
            })
        else { return false }
        let offset = Int(address - arenas[arena].base)
        arenas[arena].recycle(FreeRange(offset: offset, bytes: bytes))
        return true
    }

    /// Lets the memory of all free ranges go; their addresses stay.
    func trim() {
        for arena in arenas {
            for range in arena.free {
                guard
                    let start = UnsafeMutableRawPointer(
                        bitPattern: arena.base + UInt(range.offset))
                else { continue }
                ragkit_discard(start, range.bytes)
            }
        }
    }
}
