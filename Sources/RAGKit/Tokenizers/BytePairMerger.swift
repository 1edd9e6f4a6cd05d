/// Spells a word by merging neighbours, always the pair of lowest rank, leftmost first.
struct BytePairMerger: Sendable {
    /// The merge of a pair: its rank and the token it makes; `none` if there is no such merge.
    private struct Merge: Sendable {
        var rank: UInt32
        var id: Int32
        static let none = Merge(rank: .max, id: -1)
    }

    private struct Slot {
        var pair: UInt64 = .max
        var merge = Merge.none
    }

    /// The token of each single byte, or -1 where the vocabulary lacks it.
    private let byteIDs: [Int32]
    private var slots: [Slot]

    /// - Parameter merges: Pairs and what they make, the most important first. A pair that comes
    ///   again changes nothing.
    init(byteIDs: [Int32], merges: [(left: Int32, right: Int32, merged: Int32)]) {
        precondition(byteIDs.count == 256, "BytePairMerger: \(byteIDs.count) byte ids, not 256")
        self.byteIDs = byteIDs
        var size = 64
        while size < merges.count * 2 { size *= 2 }
        slots = [Slot](repeating: Slot(), count: size)
        for (rank, merge) in merges.enumerated() {
            let pair = Self.key(merge.left, merge.right)
            var index = Self.firstSlot(pair, size - 1)
            while slots[index].pair != .max, slots[index].pair != pair {
                index = (index + 1) & (size - 1)
            }
            if slots[index].pair == .max {
                slots[index] = Slot(pair: pair, merge: Merge(rank: UInt32(rank), id: merge.merged))
            }
        }
    }

    @inline(__always)
    private static func key(_ left: Int32, _ right: Int32) -> UInt64 {
        UInt64(UInt32(bitPattern: left)) << 32 | UInt64(UInt32(bitPattern: right))
    }

    @inline(__always)
    private static func firstSlot(_ pair: UInt64, _ mask: Int) -> Int {
        let mixed = pair &* 0x9e37_79b9_7f4a_7c15
        return Int(truncatingIfNeeded: mixed >> 32) & mask
    }

    @inline(__always)
    private func merge(_ left: Int32, _ right: Int32) -> Merge {
        slots.withUnsafeBufferPointer { slots in
            let pair = Self.key(left, right)
            let mask = slots.count - 1
            var index = Self.firstSlot(pair, mask)
            while slots[index].pair != pair {
                if slots[index].pair == .max { return .none }
                index = (index + 1) & mask
            }
            return slots[index].merge
        }
    }

    /// Words up to this many bytes are merged by scanning, longer ones with a heap.
    static let shortWord = 48

    /// Appends the tokens of `word`. Bytes the vocabulary lacks are left out before merging, as in
    /// the reference.
    func spell(_ word: UnsafeBufferPointer<UInt8>, into ids: inout [Int32]) {
        if word.count <= Self.shortWord {
            spellShort(word, into: &ids)
        } else {
            spellLong(word, into: &ids)
        }
    }

    private func spellShort(_ word: UnsafeBufferPointer<UInt8>, into ids: inout [Int32]) {
        let capacity = Self.shortWord + 1
        withUnsafeTemporaryAllocation(of: Int32.self, capacity: capacity) { symbols in
            withUnsafeTemporaryAllocation(of: Merge.self, capacity: capacity) { merges in
                var count = 0
                for byte in word where byteIDs[Int(byte)] >= 0 {
                    symbols[count] = byteIDs[Int(byte)]
                    count += 1
                }
                for index in 0..<max(0, count - 1) {
                    merges[index] = merge(symbols[index], symbols[index + 1])
                }
                while count > 1 {
                    var best = 0
                    for index in 1..<max(1, count - 1)
                    where merges[index].rank < merges[best].rank {
                        best = index
                    }
                    guard merges[best].id >= 0 else { break }
                    symbols[best] = merges[best].id
                    count -= 1
                    // Close the gap: symbol best + 1 is gone, and so is the merge at best.
                    for index in best + 1..<max(best + 1, count) {
                        symbols[index] = symbols[index + 1]
                        merges[index - 1] = merges[index]
                    }
                    if best > 0 { merges[best - 1] = merge(symbols[best - 1], symbols[best]) }
                    if best + 1 < count { merges[best] = merge(symbols[best], symbols[best + 1]) }
                }
                ids.append(contentsOf: UnsafeBufferPointer(rebasing: symbols[0..<count]))
            }
        }
    }

    private func spellLong(_ word: UnsafeBufferPointer<UInt8>, into ids: inout [Int32]) {
        var symbols = word.compactMap { byteIDs[Int($0)] >= 0 ? byteIDs[Int($0)] : nil }
        var previous = symbols.indices.map { $0 - 1 }
        var next = symbols.indices.map { $0 + 1 }
        let end = symbols.count
        // Keys are rank and place, so that the heap gives the leftmost of the lowest rank.
        var heap = MinHeap<UInt64>()
        func offer(_ place: Int) {
            guard place >= 0, next[place] < end else { return }
            let found = merge(symbols[place], symbols[next[place]])
            if found.id >= 0 { heap.insert(UInt64(found.rank) << 32 | UInt64(place)) }
        }
        for place in symbols.indices { offer(place) }
        while let entry = heap.removeMin() {
            let place = Int(entry & 0xFFFF_FFFF)
            guard symbols[place] >= 0, next[place] < end else { continue }
            let right = next[place]
            let found = merge(symbols[place], symbols[right])
            guard found.rank == UInt32(entry >> 32) else { continue }  // out of date
            symbols[place] = found.id
            symbols[right] = -1
            next[place] = next[right]
            if next[place] < end { previous[next[place]] = place }
            offer(previous[place])
            offer(place)
        }
        for symbol in symbols where symbol >= 0 { ids.append(symbol) }
    }
}

/// A binary heap; the smallest element first.
struct MinHeap<Element: Comparable> {
    private var elements: [Element] = []

    mutating func insert(_ element: Element) {
        var index = elements.count
        elements.append(element)
        while index > 0 {
            let parent = (index - 1) / 2
            guard element < elements[parent] else { break }
            elements[index] = elements[parent]
            index = parent
        }
        elements[index] = element
    }

    mutating func removeMin() -> Element? {
        guard let result = elements.first, let last = elements.popLast() else { return nil }
        guard !elements.isEmpty else { return result }
        var index = 0
        while true {
            var child = 2 * index + 1
            guard child < elements.count else { break }
            if child + 1 < elements.count, elements[child + 1] < elements[child] { child += 1 }
            guard elements[child] < last else { break }
            elements[index] = elements[child]
            index = child
        }
        elements[index] = last
        return result
    }
}
