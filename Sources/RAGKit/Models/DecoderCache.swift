/// Keys and values of one attention of a decoder, for every row and position.
struct KeyValueCache {
    /// `[rows · capacity, width]`: position `p` of row `r` is row `r · capacity + p`.
    var keys: Tensor
    var values: Tensor

    init(rows: Int, capacity: Int, width: Int) {
        keys = .zeros([rows * capacity, width])
        values = .zeros([rows * capacity, width])
    }

    /// Writes position `position` of every row.
    mutating func store(_ newKeys: Tensor, _ newValues: Tensor, at position: Int, capacity: Int) {
        Self.write(newKeys, into: &keys, at: position, capacity)
        Self.write(newValues, into: &values, at: position, capacity)
    }

    private static func write(
        _ rows: Tensor, into cache: inout Tensor, at position: Int, _ capacity: Int
    ) {
        let (count, width) = (rows.dim(0), rows.dim(1))
        let own = take(&cache).owned()
        for row in 0..<count {
            (own.writablePointer + (row * capacity + position) * width)
                .update(from: rows.pointer + row * width, count: width)
        }
        cache = own
    }

    /// Row `i` becomes a copy of row `parents[i]`, up to `length` positions; there may be more rows
    /// or fewer than before.
    mutating func reorder(_ parents: [Int32], length: Int, capacity: Int) {
        func moved(_ cache: Tensor) -> Tensor {
            let width = cache.dim(1)
            return Tensor(shape: [parents.count * capacity, width]) { result in
                for (row, parent) in parents.enumerated() {
                    (result + row * capacity * width).update(
                        from: cache.pointer + Int(parent) * capacity * width, count: length * width)
                }
            }
        }
        keys = moved(keys)
        values = moved(values)
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

/// The cache of a decoder with self-attention and cross-attention in each layer: BART's and T5's.
public struct DecoderCache: DecodingCache {
    /// How far rows can grow.
    let capacity: Int
    /// The contexts each row attends to.
    var attended: [[Int]]
    /// Where each context begins among the rows of the cross-attention's keys.
    let memoryOffsets: [Int]
    /// Keys and values of the contexts, made once, one pair for each layer.
    let crossKeys: [(keys: Tensor, values: Tensor)]
    var selfKeys: [KeyValueCache]
    public internal(set) var length = 0

    public var rowCount: Int { attended.count }

    init(
        capacity: Int, attended: [[Int]], memoryOffsets: [Int],
        crossKeys: [(keys: Tensor, values: Tensor)], width: Int
    ) {
        self.capacity = capacity
        self.attended = attended
        self.memoryOffsets = memoryOffsets
        self.crossKeys = crossKeys
        selfKeys = crossKeys.map { _ in
            KeyValueCache(rows: attended.count, capacity: capacity, width: width)
        }
    }

    /// Stops where there is not one token for each row, or no room for another.
    func checkRoom(for tokens: [Int32]) {
        precondition(
            tokens.count == rowCount && length < capacity,
            "step: \(tokens.count) tokens for \(rowCount) rows, or no room for another")
    }

    public mutating func reorder(_ parents: [Int32]) {
        check(parents, below: rowCount, "reorder")
        guard !parents.elementsEqual(0..<Int32(rowCount)) else { return }
        attended = parents.map { attended[Int($0)] }
        for layer in selfKeys.indices {
            selfKeys[layer].reorder(parents, length: length, capacity: capacity)
        }
    }

    /// One query row for each row, which attends to that row's positions, the newest included.
    var selfSegments: SegmentMap {
        // Each row's part of the cache is two segments: what is filled, and the rest.
        var offsets = [0]
        for row in 0..<rowCount {
            offsets += [row * capacity + length + 1, (row + 1) * capacity]
        }
        return SegmentMap(
            queryOffsets: Array(0...rowCount), keyOffsets: offsets,
            attended: (0..<rowCount).map { 2 * $0 })
    }

    /// One query row for each row, which attends to its contexts.
    var crossSegments: SegmentMap {
        SegmentMap(
            queryOffsets: Array(0...rowCount), keyOffsets: memoryOffsets, attended: attended)
    }
}
