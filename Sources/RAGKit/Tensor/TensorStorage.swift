import Foundation
import Synchronization

/// Owns memory that storages borrow.
protocol MemoryLender: AnyObject {
    /// Called when a storage that borrowed these bytes is released. Other borrowers may remain.
    func takeBack(_ bytes: UnsafeRawBufferPointer)
}

/// The memory of one or more tensors: a block of Float32, or a window of a mapped file.
///
/// Sendable by this invariant: the block is written only by whoever just made it, before any tensor
/// shares it, or by `Parameter.update` and the gradient engine after they have checked that nobody
/// else holds it.
final class TensorStorage: @unchecked Sendable {
    let pointer: UnsafeMutablePointer<Float>
    let count: Int
    /// The owner of memory that is not ours (a mapped file); such storage is read only.
    private let owner: (any MemoryLender)?
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
    init(borrowing pointer: UnsafePointer<Float>, count: Int, owner: any MemoryLender) {
        self.count = count
        self.pointer = UnsafeMutablePointer(mutating: pointer)
        self.owner = owner
        StoragePool.live.wrappingAdd(1, ordering: .relaxed)
    }

    /// True if the block may be written by its only holder.
    var isWritable: Bool { owner == nil }

    deinit {
        StoragePool.live.wrappingSubtract(1, ordering: .relaxed)
        if let owner {
            owner.takeBack(UnsafeRawBufferPointer(start: pointer, count: 4 * count))
        } else {
            StoragePool.shared.recycle(pointer, count)
        }
    }
}
