/// The ids of the special tokens by role; `nil` where a tokenizer has none.
public struct SpecialTokens: Sendable, Equatable {
    /// Begins a sequence (BART `<s>`).
    public var bos: Int32?
    /// Ends a sequence (BART and T5 `</s>`).
    public var eos: Int32?
    /// Stands for a word that the vocabulary cannot spell.
    public var unk: Int32?
    /// Stands between and after segments (BERT `[SEP]`).
    public var sep: Int32?
    /// Fills up shorter sequences of a padded batch.
    public var pad: Int32?
    /// Stands first, for a summary of the sequence (BERT `[CLS]`).
    public var cls: Int32?
    /// Hides a word in masked language modelling.
    public var mask: Int32?
    /// Every id that decoding can skip: those above and other tokens marked special.
    public var allIDs: Set<Int32>

    /// - Parameter others: Special ids without one of these roles.
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
