/// Counts of words, in the order of their first occurrence.
struct WordCounter {
    private var numbers = ByteStringTable(capacity: 1 << 12)
    private var bytes: [UInt8] = []
    private var starts = [0]
    private var counts: [Int] = []

    mutating func add(_ word: UnsafeBufferPointer<UInt8>) {
        let known = numbers.insert(word, id: Int32(counts.count))
        if known >= 0 {
            counts[Int(known)] += 1
        } else {
            bytes.append(contentsOf: word)
            starts.append(bytes.count)
            counts.append(1)
        }
    }

    /// Calls `body` with every word and its count.
    func forEach(_ body: (_ word: ArraySlice<UInt8>, _ count: Int) -> Void) {
        for (index, count) in counts.enumerated() {
            body(bytes[starts[index]..<starts[index + 1]], count)
        }
    }
}
