/// The special tokens around one text and around a pair.
struct SequenceTemplate: Sendable, Equatable {
    var prefix: [Int32] = []
    /// The tokens between the two texts of a pair; they belong to the first segment.
    var separator: [Int32] = []
    var suffix: [Int32] = []
    /// The type of the second segment.
    var secondType: Int32 = 1

    /// Puts the special tokens around the texts and cuts the texts at their ends, the longer one
    /// first.
    ///
    /// Source: the `longest_first` strategy of `tokenizers`, `truncate_encodings`.
    func encode(_ first: [Int32], pair second: [Int32]?, maxLength: Int?) -> Encoding {
        let specials = prefix.count + suffix.count + (second == nil ? 0 : separator.count)
        let room = maxLength.map { max(0, $0 - specials) } ?? Int.max
        let (keptFirst, keptSecond) = Self.kept(first.count, second?.count ?? 0, room: room)

        var ids = prefix
        ids.reserveCapacity(specials + keptFirst + keptSecond)
        ids += first.prefix(keptFirst)
        var firstSegment = ids.count
        if let second {
            ids += separator
            firstSegment = ids.count
            ids += second.prefix(keptSecond)
        }
        ids += suffix
        if second == nil { firstSegment = ids.count }

        var typeIDs = [Int32](repeating: 0, count: ids.count)
        for index in firstSegment..<ids.count { typeIDs[index] = secondType }
        let cut = first.count - keptFirst + (second?.count ?? 0) - keptSecond
        return Encoding(ids: ids, typeIDs: typeIDs, truncatedCount: cut)
    }

    /// The number of tokens of each text that fit into `room`.
    private static func kept(_ first: Int, _ second: Int, room: Int) -> (Int, Int) {
        guard first + second > room else { return (first, second) }
        let shorter = min(first, second)
        // The longer text may keep what the shorter leaves, as long as it stays the longer one.
        var (small, large) = (shorter, max(shorter, room - shorter))
        if small + large > room {
            small = room / 2
            large = room - small
        }
        return first <= second ? (small, large) : (large, small)
    }
}
