/// Keys and values of self-attention for rows that are decoded side by side, in some layers.
///
/// A row with one successor is extended in place; keys and values are copied only where several
/// rows continue one.
struct SelfAttentionCache {
    /// Keys and values of all positions, and for each row the segment of them that it attends to.
    typealias Extended = (keys: Tensor, values: Tensor, segments: SegmentMap)

    struct Layer {
        var keys, values: Tensor
    }

    /// The greatest number of positions in a row.
    private let capacity: Int
    /// Keys and values of each layer, `[slots · capacity, width]`: position `p` of slot `s` is row
    /// `s · capacity + p`.
    private(set) var layers: [Layer]
    /// The slot of each row.
    private var slots: [Int]
    private var slotCount: Int

    init(rows: Int, capacity: Int, width: Int, layers count: Int) {
        self.capacity = capacity
        slots = Array(0..<rows)
        slotCount = rows
        layers = (0..<count).map { _ in
            Layer(
                keys: .zeros([rows * capacity, width]), values: .zeros([rows * capacity, width]))
        }
    }

    /// Stores a layer's keys and values of the newest of `length` positions.
    ///
    /// - Parameters:
    ///   - keys: `[rows, width]`.
    ///   - values: `[rows, width]`.
    /// - Returns: those of all positions, and one query row for each row, which attends to that
    ///   row's positions, the newest included.
    mutating func extend(
        _ keys: Tensor, _ values: Tensor, layer: Int, length: Int
    ) -> Extended {
        store(keys, in: \.keys, layer, position: length - 1)
        store(values, in: \.values, layer, position: length - 1)
        return (layers[layer].keys, layers[layer].values, segments(length: length))
    }

    private mutating func store(
        _ rows: Tensor, in part: WritableKeyPath<Layer, Tensor>, _ layer: Int, position: Int
    ) {
        let width = rows.dim(1)
        let own = take(&layers[layer][keyPath: part]).owned()
        for (row, slot) in slots.enumerated() {
            (own.writablePointer + (slot * capacity + position) * width)
                .update(from: rows.pointer + row * width, count: width)
        }
        layers[layer][keyPath: part] = own
    }

    /// Lets row `i` continue row `parents[i]`, of which `length` positions are kept; there may be
    /// more rows or fewer than before.
    mutating func reorder(_ parents: [Int32], length: Int) {
        let copies = place(parents)
        guard !copies.isEmpty else { return }
        for layer in layers.indices {
            copy(copies, length, in: \.keys, layer)
            copy(copies, length, in: \.values, layer)
        }
    }

    /// Assigns slots to rows that continue others. The first row to continue another takes its
    /// slot; further ones get slots that no row continues, or new ones.
    ///
    /// - Returns: the slots to copy; no slot is both copied from and copied to.
    private mutating func place(_ parents: [Int32]) -> [(from: Int, to: Int)] {
        let sources = parents.map { slots[Int($0)] }
        var isOpen = Array(repeating: false, count: slotCount)
        for source in sources { isOpen[source] = true }
        var free = isOpen.indices.filter { !isOpen[$0] }[...]
        var copies: [(from: Int, to: Int)] = []
        slots = sources.map { source in
            if isOpen[source] {
                isOpen[source] = false
                return source
            }
            let target = free.popFirst() ?? slotCount
            slotCount = max(slotCount, target + 1)
            copies.append((source, target))
            return target
        }
        return copies
    }

    private mutating func copy(
        _ copies: [(from: Int, to: Int)], _ length: Int,
        in part: WritableKeyPath<Layer, Tensor>, _ layer: Int
    ) {
        let width = layers[layer][keyPath: part].dim(1)
        let taken = take(&layers[layer][keyPath: part])
        let own = taken.dim(0) < slotCount * capacity ? grown(taken) : (consume taken).owned()
        for (from, to) in copies {
            (own.writablePointer + to * capacity * width).update(
                from: own.pointer + from * capacity * width, count: length * width)
        }
        layers[layer][keyPath: part] = own
    }

    /// A copy with room for all slots.
    private func grown(_ cache: Tensor) -> Tensor {
        Tensor(shape: [slotCount * capacity, cache.dim(1)]) {
            $0.update(from: cache.pointer, count: cache.count)
        }
    }

    private func segments(length: Int) -> SegmentMap {
        // Each slot is two segments: its filled positions, and the rest.
        let offsets = (0..<slotCount).flatMap { [$0 * capacity + length, ($0 + 1) * capacity] }
        return SegmentMap(
            queryOffsets: Array(0...slots.count), keyOffsets: [0] + offsets,
            attended: slots.map { 2 * $0 })
    }
}

/// Moves a tensor out of a variable, so that its storage can be written without a copy.
private func take(_ tensor: inout Tensor) -> Tensor {
    let taken = tensor
    tensor = .placeholder
    return taken
}

extension Tensor {
    /// An empty tensor in the place of one that was moved.
    fileprivate static let placeholder = Tensor.zeros([0])
}
