/// Keys and values of self-attention for rows that are decoded side by side, in some layers.
///
/// A row that goes on alone stays where it is: only where several rows continue one is anything
/// copied.
struct SelfAttentionCache {
    struct Layer {
        var keys, values: Tensor
    }

    /// How far rows can grow.
    private let capacity: Int
    /// For each layer `[slots · capacity, width]`: position `p` of slot `s` is row `s · capacity + p`.
    private(set) var layers: [Layer]
    /// Where each row lies.
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
    /// - Returns: those of all positions, and one query row for each row, which attends to that row's
    ///   positions, the newest included.
    mutating func extend(
        _ keys: Tensor, _ values: Tensor, layer: Int, length: Int
    ) -> (keys: Tensor, values: Tensor, segments: SegmentMap) {
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

    /// Row `i` continues what row `parents[i]` was, up to `length` positions; there may be more rows
    /// or fewer than before.
    mutating func reorder(_ parents: [Int32], length: Int) {
        let copies = place(parents)
        guard !copies.isEmpty else { return }
        for layer in layers.indices {
            copy(copies, length, in: \.keys, layer)
            copy(copies, length, in: \.values, layer)
        }
    }

    /// Finds slots for rows that continue others: of those that continue one, the first takes its
    /// slot, the others get slots that nobody continues, or new ones.
    ///
    /// - Returns: what has to be copied; nothing is copied from where something is copied to.
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
        // Each slot is two segments: what is filled, and the rest.
        let offsets = (0..<slotCount).flatMap { [$0 * capacity + length, ($0 + 1) * capacity] }
        return SegmentMap(
            queryOffsets: Array(0...slots.count), keyOffsets: [0] + offsets,
            attended: slots.map { 2 * $0 })
    }
}

/// Moves a tensor out of its place, so that its storage can be written without a copy.
private func take(_ tensor: inout Tensor) -> Tensor {
    let taken = tensor
    tensor = .placeholder
    return taken
}

extension Tensor {
    /// An empty tensor that stands in while another is moved.
    fileprivate static let placeholder = Tensor.zeros([0])
}

/// Which rows have decoded the same tokens.
private struct Histories {
    /// The history of each row.
    private(set) var ofRows: [Int32]

    /// Before the first token all rows have one.
    init(rows: Int) { ofRows = Array(repeating: 0, count: rows) }

    mutating func reorder(_ parents: [Int32]) { ofRows = parents.map { ofRows[Int($0)] } }

    /// One more token in each row.
    ///
    /// - Returns: of each new history the last token, and the history that it continues.
    mutating func append(_ tokens: [Int32]) -> (tokens: [Int32], parents: [Int32]) {
        struct Continuation: Hashable {
            let history, token: Int32
        }
        var known: [Continuation: Int32] = [:]
        var new: (tokens: [Int32], parents: [Int32]) = ([], [])
        ofRows = zip(ofRows, tokens).map { history, token in
            let continuation = Continuation(history: history, token: token)
            if let number = known[continuation] { return number }
            let number = Int32(new.tokens.count)
            known[continuation] = number
            new.tokens.append(token)
            new.parents.append(history)
            return number
        }
        return new
    }
}

/// The cache of a decoder with self-attention and cross-attention in each layer: BART's and T5's.
///
/// What the first layer's self-attention makes of a row depends on the row's tokens alone, not on its
/// contexts: rows that have decoded the same tokens, such as a beam given each document, share it.
public struct DecoderCache: DecodingCache {
    /// How far rows can grow.
    let capacity: Int
    /// The contexts each row attends to.
    private var attended: [[Int]]
    /// Where each context begins among the rows of the cross-attention's keys.
    private let memoryOffsets: [Int]
    /// Keys and values of the contexts, made once, one pair for each layer.
    let crossKeys: [(keys: Tensor, values: Tensor)]
    private var histories: Histories
    /// Of the first layer, with a row for each history.
    private(set) var firstLayer: SelfAttentionCache
    private(set) var otherLayers: SelfAttentionCache
    public private(set) var length = 0

    public var rowCount: Int { attended.count }

    init(
        capacity: Int, attended: [[Int]], memoryOffsets: [Int],
        crossKeys: [(keys: Tensor, values: Tensor)], width: Int
    ) {
        self.capacity = capacity
        self.attended = attended
        self.memoryOffsets = memoryOffsets
        self.crossKeys = crossKeys
        histories = Histories(rows: attended.count)
        firstLayer = SelfAttentionCache(
            rows: 1, capacity: capacity, width: width, layers: min(1, crossKeys.count))
        otherLayers = SelfAttentionCache(
            rows: attended.count, capacity: capacity, width: width,
            layers: max(0, crossKeys.count - 1))
    }

    public mutating func reorder(_ parents: [Int32]) {
        check(parents, below: rowCount, "reorder")
        guard !parents.elementsEqual(0..<Int32(rowCount)) else { return }
        attended = parents.map { attended[Int($0)] }
        histories.reorder(parents)
        otherLayers.reorder(parents, length: length)
    }

    /// Begins a step.
    ///
    /// - Parameter tokens: one for each row.
    /// - Returns: one for each of the rows that go through the first layer's self-attention.
    mutating func begin(_ tokens: [Int32]) -> [Int32] {
        precondition(
            tokens.count == rowCount && length < capacity,
            "step: \(tokens.count) tokens for \(rowCount) rows, or no room for another")
        defer { length += 1 }
        guard !crossKeys.isEmpty else { return tokens }
        let new = histories.append(tokens)
        firstLayer.reorder(new.parents, length: length)
        return new.tokens
    }

    /// Stores a layer's keys and values of the step's position; what is returned is as
    /// `SelfAttentionCache.extend` says.
    mutating func extend(
        _ keys: Tensor, _ values: Tensor, layer: Int
    ) -> (keys: Tensor, values: Tensor, segments: SegmentMap) {
        layer == 0
            ? firstLayer.extend(keys, values, layer: 0, length: length)
            : otherLayers.extend(keys, values, layer: layer - 1, length: length)
    }

    /// All rows' states after a layer's self-attention.
    func everyRow(_ states: Tensor, layer: Int) -> Tensor {
        layer == 0 ? states.rows(histories.ofRows) : states
    }

    /// One query row for each row, which attends to its contexts.
    var crossSegments: SegmentMap {
        SegmentMap(
            queryOffsets: Array(0...rowCount), keyOffsets: memoryOffsets, attended: attended)
    }
}
