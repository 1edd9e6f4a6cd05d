import RAGKitBLAS
import Synchronization

/// A matrix in the order in which the product kernels of this processor read it. Sendable, since it
/// is written only while it is made.
final class WeightPack: @unchecked Sendable {
    let start: UnsafeMutablePointer<Float>
    private let count: Int

    /// Packs `weight` `[outputs, inputs]`, transposed or as it is.
    fileprivate init(_ weight: Tensor, transposed: Bool, _ precision: Precision) {
        let (outputs, inputs) = (weight.dim(0), weight.dim(1))
        let (k, n) = transposed ? (inputs, outputs) : (outputs, inputs)
        let stride = MemoryLayout<Float>.stride
        count = (ragkit_pack_bytes(precision.format, k, n) + stride - 1) / stride
        start = StoragePool.shared.allocate(count)
        ragkit_pack(precision.format, transposed, k, n, weight.pointer, inputs, start)
    }

    deinit { StoragePool.shared.recycle(start, count) }
}

/// The part of its storage that a pack was made of.
struct WeightPackKey: Hashable {
    var offset: Int
    var shape: [Int]
    var transposed: Bool
    var precision: Precision
}

extension TensorStorage {
    /// The pack of a weight `[outputs, inputs]` in this storage, made if it is not there.
    func pack(of weight: Tensor, transposed: Bool, _ precision: Precision) -> WeightPack {
        let key = WeightPackKey(
            offset: weight.offset, shape: weight.shape, transposed: transposed,
            precision: precision)
        return packs.withLock { packs in
            if let pack = packs[key] { return pack }
            let pack = WeightPack(weight, transposed: transposed, precision)
            packs[key] = pack
            return pack
        }
    }

    /// Lets packs go, since the contents are about to change: all but those of the whole block as a
    /// matrix of this shape that can be rebuilt row by row, which are returned.
    @discardableResult
    func forgetPacks(butFor shape: [Int]? = nil) -> [WeightPack] {
        packs.withLock { packs in
            packs = packs.filter { key, _ in
                key.offset == 0 && key.shape == shape && key.shape.product == count
                    && key.precision != .int8
            }
            return Array(packs.values)
        }
    }

    /// The number of packs.
    var packCount: Int { packs.withLock(\.count) }
}
