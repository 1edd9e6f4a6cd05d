/// The training algorithm of byte-pair encoding: again and again the most frequent pair of
/// neighbours in the words becomes a new symbol.
///
/// The result depends on the words and their counts alone. Of equal counts the pair of the lower
/// symbols wins. Nothing depends on the order of a hash table.
///
/// Source: Sennrich et al. 2016, arXiv:1508.07909, section 3.2.
struct PairMergeTrainer {
    struct Merge: Equatable {
        var left: Int32
        var right: Int32
    }

    private struct Word {
        var symbols: [Int32]
        var count: Int
    }

    /// A pair waiting to be merged. Counts only fall after a pair is offered, so an outdated entry
    /// is too high and is put back with the lower count.
    private struct Candidate: Comparable {
        var count: Int
        var merge: Merge

        static func < (lhs: Self, rhs: Self) -> Bool {
            if lhs.count != rhs.count { return lhs.count > rhs.count }
            if lhs.merge.left != rhs.merge.left { return lhs.merge.left < rhs.merge.left }
            return lhs.merge.right < rhs.merge.right
        }
    }

    private var words: [Word] = []
    private var pairNumbers: [UInt64: Int] = [:]
    private var pairs: [Merge] = []
    private var counts: [Int] = []
    /// The words that a pair occurred in; some may not contain it any more.
    private var places: [[Int32]] = []
    private var heap = MinHeap<Candidate>()

    /// Adds a word that occurs `count` times.
    mutating func add(_ symbols: [Int32], count: Int) {
        guard symbols.count > 1 else { return }
        let place = Int32(words.count)
        words.append(Word(symbols: symbols, count: count))
        for index in 0..<symbols.count - 1 {
            change(symbols[index], symbols[index + 1], by: count, at: place)
        }
    }

    /// Merges until `limit` symbols are made or no pair occurs `minimumFrequency` times.
    ///
    /// - Parameter symbol: Returns an unused number for the merge's symbol, or `nil` to leave the
    ///   pair unmerged for good.
    mutating func train(limit: Int, minimumFrequency: Int, symbol: (Merge) -> Int32?) {
        for index in pairs.indices { offer(index) }
        var made = 0
        while made < limit, let best = heap.removeMin() {
            guard best.count >= max(1, minimumFrequency) else { break }
            let key = Self.key(best.merge.left, best.merge.right)
            guard let number = pairNumbers[key] else { continue }
            let count = counts[number]
            if count != best.count {
                if count > 0 { offer(number) }
                continue
            }
            guard let id = symbol(best.merge) else { continue }
            made += 1
            apply(best.merge, id, number)
        }
    }

    private mutating func apply(_ merge: Merge, _ id: Int32, _ number: Int) {
        let known = pairs.count
        for place in places[number] { replace(merge, by: id, in: place) }
        places[number] = []
        counts[number] = 0
        // Only pairs with the new symbol have gained; they are offered once all are counted.
        for index in known..<pairs.count { offer(index) }
    }

    private mutating func offer(_ number: Int) {
        heap.insert(Candidate(count: counts[number], merge: pairs[number]))
    }

    private mutating func replace(_ merge: Merge, by id: Int32, in place: Int32) {
        let old = words[Int(place)].symbols
        let count = words[Int(place)].count
        var new: [Int32] = []
        new.reserveCapacity(old.count)
        var read = 0
        while read < old.count {
            let isPair =
                old[read] == merge.left && read + 1 < old.count
                && old[read + 1] == merge.right
            guard isPair else {
                new.append(old[read])
                read += 1
                continue
            }
            if let before = new.last {
                change(before, merge.left, by: -count, at: place)
                change(before, id, by: count, at: place)
            }
            if read + 2 < old.count {
                change(merge.right, old[read + 2], by: -count, at: place)
                change(id, old[read + 2], by: count, at: place)
            }
            new.append(id)
            read += 2
        }
        words[Int(place)].symbols = new
    }

    private static func key(_ left: Int32, _ right: Int32) -> UInt64 {
        UInt64(UInt32(bitPattern: left)) << 32 | UInt64(UInt32(bitPattern: right))
    }

    private mutating func change(_ left: Int32, _ right: Int32, by count: Int, at place: Int32) {
        let key = Self.key(left, right)
        guard let number = pairNumbers[key] else {
            pairNumbers[key] = pairs.count
            pairs.append(Merge(left: left, right: right))
            counts.append(count)
            places.append([place])
            return
        }
        counts[number] += count
        if count > 0, places[number].last != place { places[number].append(place) }
    }
}
