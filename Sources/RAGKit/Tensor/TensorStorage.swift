import Foundation
import Synchronization

/// The memory of one or more tensors: a block of Float32, or a window of a mapped file.
///
/// Sendable by this invariant: the block is written only by whoever just made it, before any tensor
/// shares it, or by `Parameter.update` and the gradient engine after they have checked that nobody
/// else holds it.
final class TensorStorage: @unchecked Sendable {
    let pointer: UnsafeMutablePointer<Float>
    let count: Int
    /// What keeps the memory alive when it is not ours (a mapped file); such storage is read only.
    private let owner: AnyObject?
    /// Rearranged copies for products, while the contents stay as they are.
    let packs = Mutex<[WeightPackKey: WeightPack]>([:])

    /// A block of `count` elements with undefined contents.
    init(count: Int) {
        self.count = count
        pointer = StoragePool.shared.allocate(count)
        owner = nil
        StoragePool.live.wrappingAdd(1, ordering: .relaxed)
    }

    /// Borrows memory that `owner` keeps alive and nobody changes.
    init(borrowing pointer: UnsafePointer<Float>, count: Int, owner: AnyObject) {
        self.count = count
        self.pointer = UnsafeMutablePointer(mutating: pointer)
        self.owner = owner
        StoragePool.live.wrappingAdd(1, ordering: .relaxed)
    }

    /// Whether the block may be written by its only holder.
    var isWritable: Bool { owner == nil }

    deinit {
        StoragePool.live.wrappingSubtract(1, ordering: .relaxed)
        if owner == nil { StoragePool.shared.recycle(pointer, count) }
    }
}

/// Recycles blocks by size, since fresh pages cost more than the arithmetic done on them.
///
/// Blocks are handed out in size classes an eighth of a power of two apart, the most recently used
/// first, because it is the one still in cache.
final class StoragePool: Sendable {
    static let shared = StoragePool()
    /// Storages alive now; tests check that it returns to where it was.
    static let live = Atomic<Int>(0)

    private struct State: ~Copyable {
        /// Addresses of blocks, by their size in bytes.
        var free: [Int: [UInt]] = [:]
        var cachedBytes = 0
        var usedBytes = 0
        var peakUsedBytes = 0
    }
    private let state = Mutex(State())

    /// The capacity in bytes of the class that holds `count` elements.
    private static func capacity(_ count: Int) -> Int {
        let bytes = max(64, count * MemoryLayout<Float>.stride)
        guard bytes > 4096 else { return (bytes + 63) & ~63 }
        let step = 1 << (Int.bitWidth - 1 - (bytes - 1).leadingZeroBitCount - 2)
        return (bytes + step - 1) / step * step
    }

    func allocate(_ count: Int) -> UnsafeMutablePointer<Float> {
        let bytes = Self.capacity(count)
        let recycled: UInt? = state.withLock { state in
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
        // What is kept never exceeds the most that was in use, so the process at most doubles.
        let kept = state.withLock { state in
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

    /// Gives every cached block back to the system.
    func trim() {
        let blocks = state.withLock { state in
            let all = state.free.values.flatMap { $0 }
            state.free.removeAll()
            state.cachedBytes = 0
            state.peakUsedBytes = state.usedBytes
            return all
        }
        for block in blocks { UnsafeMutableRawPointer(bitPattern: block)?.deallocate() }
    }
}
