/// A sequence as a model reads it.
public struct Encoding: Sendable, Equatable {
    /// The token ids, special tokens included.
    public var ids: [Int32]

    /// The segment (0 or 1) of each id, as BERT's token types. As many as `ids`.
    public var typeIDs: [Int32]

    /// How many tokens of the text, or of both texts, were cut off.
    public var truncatedCount: Int

    public init(ids: [Int32], typeIDs: [Int32], truncatedCount: Int = 0) {
        precondition(
            ids.count == typeIDs.count,
            "Encoding: \(ids.count) ids but \(typeIDs.count) type ids")
        self.ids = ids
        self.typeIDs = typeIDs
        self.truncatedCount = truncatedCount
    }
}

/// The ids of the tokens that play a part for the model; `nil` where a tokenizer has none.
public struct SpecialTokens: Sendable, Equatable {
    /// Begins a sequence (BART `<s>`).
    public var bos: Int32?
    /// Ends a sequence (BART and T5 `</s>`).
    public var eos: Int32?
    /// Stands for a word the vocabulary cannot spell.
    public var unk: Int32?
    /// Stands between and after segments (BERT `[SEP]`).
    public var sep: Int32?
    /// Fills up shorter sequences of a padded batch.
    public var pad: Int32?
    /// Stands first, for a summary of the sequence (BERT `[CLS]`).
    public var cls: Int32?
    /// Hides a word in masked language modelling.
    public var mask: Int32?
    /// Every id that decoding can skip: those above, and further tokens marked special.
    public var allIDs: Set<Int32>

    /// - Parameter others: Special ids that play none of the named parts.
    public init(
        bos: Int32? = nil, eos: Int32? = nil, unk: Int32? = nil, sep: Int32? = nil,
        pad: Int32? = nil, cls: Int32? = nil, mask: Int32? = nil, others: some Sequence<Int32> = []
    ) {
        self.bos = bos
        self.eos = eos
        self.unk = unk
        self.sep = sep
        self.pad = pad
        self.cls = cls
        self.mask = mask
        allIDs = Set([bos, eos, unk, sep, pad, cls, mask].compactMap { $0 }).union(others)
    }
}

/// What stands around one text and around a pair.
struct SequenceTemplate: Sendable, Equatable {
    var prefix: [Int32] = []
    /// Between the two texts of a pair; it belongs to the first segment.
    var separator: [Int32] = []
    var suffix: [Int32] = []
    /// The type of the second segment.
    var secondType: Int32 = 1

    /// Puts the special tokens around the texts and cuts from the right, longest text first.
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

    /// How many tokens of each text fit into `room`.
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
