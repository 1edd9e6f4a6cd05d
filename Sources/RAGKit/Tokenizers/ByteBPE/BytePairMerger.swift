/// Spells a word by merging neighbours: always the pair of the lowest rank, and of equal ranks the
/// leftmost.
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
    /// True if every token is made by merges of lower rank than those that use it, as in any learnt
    /// vocabulary. Then the ranks of a word's merges ascend.
    private let isOrdered: Bool

    /// - Parameter merges: Pairs with the tokens they make, the most important first. A repeated
    ///   pair is ignored.
    init(byteIDs: [Int32], merges: [(left: Int32, right: Int32, merged: Int32)]) {
        precondition(byteIDs.count == 256, "BytePairMerger: \(byteIDs.count) byte ids, not 256")
        self.byteIDs = byteIDs
        var size = 64
        while size < merges.count * 2 { size *= 2 }
        slots = [Slot](repeating: Slot(), count: size)
        var lastMade: [Int32: Int] = [:]
        for (rank, merge) in merges.enumerated() { lastMade[merge.merged] = rank }
        isOrdered = merges.enumerated().allSatisfy { rank, merge in
            max(lastMade[merge.left] ?? -1, lastMade[merge.right] ?? -1) < rank
        }
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

    /// The longest word, in bytes, that is merged by scanning. Longer ones use lists by rank, or a
    /// heap if ranks do not ascend.
    static let shortWord = 48

    /// Appends the tokens of `word`. Bytes that the vocabulary lacks are dropped before merging, as
    /// in the reference.
    func spell(_ word: UnsafeBufferPointer<UInt8>, into ids: inout [Int32]) {
        if word.count <= Self.shortWord {
            spellShort(word, into: &ids)
        } else if isOrdered {
            var chain = Chain(word, byteIDs)
            spellByRank(&chain)
            chain.append(to: &ids)
        } else {
            var chain = Chain(word, byteIDs)
            spellWithHeap(&chain)
            chain.append(to: &ids)
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

    /// Merges rank by rank, each from left to right: linear in the word, apart from a heap of the
    /// ranks that occur.
    private func spellByRank(_ chain: inout Chain) {
        var ranks = MinHeap<UInt32>()
        var places: [UInt32: [Int32]] = [:]
        func offer(_ place: Int32) {
            guard let (left, right) = chain.pair(at: place) else { return }
            let rank = merge(left, right).rank
            guard rank != Merge.none.rank else { return }
            if places[rank] == nil { ranks.insert(rank) }
            places[rank, default: []].append(place)
        }
        for place in chain.symbols.indices { offer(Int32(place)) }
        while let rank = ranks.removeMin(), var list = places.removeValue(forKey: rank) {
            // What is found by merging comes in the order of merging.
            if zip(list, list.dropFirst()).contains(where: >) { list.sort() }
            for place in list {
                guard let (left, right) = chain.pair(at: place) else { continue }
                let found = merge(left, right)
                guard found.rank == rank else { continue }  // out of date
                chain.join(place, to: found.id)
                offer(chain.previous[Int(place)])
                offer(place)
            }
        }
    }

    private func spellWithHeap(_ chain: inout Chain) {
        // Keys are rank and place, so that the heap gives the leftmost of the lowest rank.
        var heap = MinHeap<UInt64>()
        func offer(_ place: Int32) {
            guard let (left, right) = chain.pair(at: place) else { return }
            let rank = merge(left, right).rank
            guard rank != Merge.none.rank else { return }
            heap.insert(UInt64(rank) << 32 | UInt64(place))
        }
        for place in chain.symbols.indices { offer(Int32(place)) }
        while let entry = heap.removeMin() {
            let place = Int32(truncatingIfNeeded: entry & 0x7FFF_FFFF)
            guard let (left, right) = chain.pair(at: place) else { continue }
            let found = merge(left, right)
            guard found.rank == UInt32(entry >> 32) else { continue }  // out of date
            chain.join(place, to: found.id)
            offer(chain.previous[Int(place)])
            offer(place)
        }
    }
}

/// The symbols of a long word as a linked list, in which joining two neighbours takes constant
/// time.
private struct Chain {
    /// The symbols; -1 where a symbol was joined to the one before.
    private(set) var symbols: [Int32]
    /// The previous position; -1 at the start.
    private(set) var previous: [Int32]
    /// The next position; the number of symbols at the end.
    private var next: [Int32]

    /// - Precondition: The word has less than 2 GiB.
    init(_ word: UnsafeBufferPointer<UInt8>, _ byteIDs: [Int32]) {
        precondition(word.count < Int(Int32.max), "a word of \(word.count) bytes")
        symbols = word.compactMap { byteIDs[Int($0)] >= 0 ? byteIDs[Int($0)] : nil }
        previous = symbols.indices.map { Int32($0) - 1 }
        next = symbols.indices.map { Int32($0) + 1 }
    }

    /// The symbol at a position and the next one.
    @inline(__always)
    func pair(at place: Int32) -> (left: Int32, right: Int32)? {
        guard place >= 0, symbols[Int(place)] >= 0 else { return nil }
        let right = Int(next[Int(place)])
        return right < symbols.count ? (symbols[Int(place)], symbols[right]) : nil
    }

    /// Replaces a pair by one symbol.
    @inline(__always)
    mutating func join(_ place: Int32, to symbol: Int32) {
        let right = Int(next[Int(place)])
        symbols[Int(place)] = symbol
        symbols[right] = -1
        next[Int(place)] = next[right]
        if Int(next[right]) < symbols.count { previous[Int(next[right])] = place }
    }

    func append(to ids: inout [Int32]) {
        for symbol in symbols where symbol >= 0 { ids.append(symbol) }
    }
}
