/// A trie of byte strings with ids, stored as a double array: a step is one addition and one
/// comparison.
///
/// Source: Aoe 1989, "An Efficient Digital Search Algorithm by Using a Double-Array Structure".
struct ByteTrie: Sendable {
    struct Cell: Sendable {
        /// The child for a byte, if there is one, is the cell at `base + byte`.
        var base: Int32 = 0
        /// The cell this one is a child of; -1 if the cell is free.
        var parent: Int32 = -1
        /// The id of the key that ends here, or -1.
        var id: Int32 = -1
    }

    /// The cells, the root first. At least 256 cells follow every `base`.
    private(set) var cells: [Cell]

    /// - Parameter entries: Keys in any order. Of equal keys the first counts; an empty key is
    ///   never found.
    init(_ entries: [(key: [UInt8], id: Int32)]) {
        let sorted = entries.enumerated().sorted { lhs, rhs in
            lhs.element.key == rhs.element.key
                ? lhs.offset < rhs.offset
                : lhs.element.key.lexicographicallyPrecedes(rhs.element.key)
        }.map(\.element)
        cells = [Cell](repeating: Cell(), count: 512)
        cells[0].parent = 0
        var firstFree = 1
        var pending = [(node: 0, depth: 0, range: 0..<sorted.count)]
        var bytes: [UInt8] = []
        var ranges: [Range<Int>] = []
        while let (node, depth, range) = pending.popLast() {
            bytes.removeAll(keepingCapacity: true)
            ranges.removeAll(keepingCapacity: true)
            for index in range {
                let key = sorted[index].key
                if key.count == depth {
                    if cells[node].id < 0 { cells[node].id = sorted[index].id }
                } else if let last = bytes.last, last == key[depth] {
                    ranges[ranges.count - 1] = ranges[ranges.count - 1].lowerBound..<index + 1
                } else {
                    bytes.append(key[depth])
                    ranges.append(index..<index + 1)
                }
            }
            guard !bytes.isEmpty else { continue }
            let base = place(bytes, &firstFree)
            cells[node].base = Int32(base)
            for (byte, range) in zip(bytes, ranges) {
                cells[base + Int(byte)].parent = Int32(node)
                pending.append((base + Int(byte), depth + 1, range))
            }
        }
    }

    /// Finds a base at which the cells of all children are free.
    private mutating func place(_ bytes: [UInt8], _ firstFree: inout Int) -> Int {
        let first = Int(bytes[0])
        var place = max(firstFree, first + 1)  // a base of 0 would make the root a child
        let start = place
        var taken = 0
        while true {
            let base = place - first
            if base + 256 > cells.count {
                cells += [Cell](repeating: Cell(), count: max(256, cells.count / 2))
            }
            if cells[place].parent >= 0 {
                taken += 1
            } else if bytes.allSatisfy({ cells[base + Int($0)].parent < 0 }) {
                break
            }
            place += 1
        }
        // Where nearly everything is taken nobody needs to look again: building stays linear.
        if taken * 20 >= (place - start) * 19 { firstFree = max(firstFree, place) }
        return place - first
    }

    /// The child of a cell for `byte`, or -1.
    @inline(__always)
    static func step(_ cells: UnsafeBufferPointer<Cell>, from cell: Int, _ byte: UInt8) -> Int {
        let next = Int(cells[cell].base) + Int(byte)
        return Int(cells[next].parent) == cell ? next : -1
    }

    /// The longest key that begins at `start`.
    @inline(__always)
    func longestMatch(
        in text: UnsafeBufferPointer<UInt8>, at start: Int
    ) -> (end: Int, id: Int32)? {
        cells.withUnsafeBufferPointer { cells in
            var best: (end: Int, id: Int32)?
            var cell = 0
            var end = start
            while end < text.count {
                cell = Self.step(cells, from: cell, text[end])
                if cell < 0 { break }
                end += 1
                if cells[cell].id >= 0 { best = (end, cells[cell].id) }
            }
            return best
        }
    }

    /// The id of a whole key, or -1.
    func id(of key: some Sequence<UInt8>) -> Int32 {
        cells.withUnsafeBufferPointer { cells in
            var cell = 0
            for byte in key {
                cell = Self.step(cells, from: cell, byte)
                if cell < 0 { return -1 }
            }
            return cell == 0 ? -1 : cells[cell].id
        }
    }
}
