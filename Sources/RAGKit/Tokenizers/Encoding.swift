/// A sequence as a model reads it.
public struct Encoding: Sendable, Equatable {
    /// The token ids, special tokens included.
    public var ids: [Int32]

    /// The segment (0 or 1) of each id, as in BERT's token types. As many as `ids`.
    public var typeIDs: [Int32]

    /// The number of tokens cut off from the text, or from both texts.
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
