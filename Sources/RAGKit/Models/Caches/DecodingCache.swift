/// The states of rows that are decoded token by token.
public protocol DecodingCache {
    /// The number of rows.
    var rowCount: Int { get }
    /// The number of tokens decoded so far.
    var length: Int { get }
    /// Lets row `i` continue row `parents[i]` and attend to the same contexts.
    ///
    /// Rows may be left out and repeated, so that there are more or fewer than before. States of
    /// the contexts are never copied, only those of decoded tokens.
    mutating func reorder(_ parents: [Int32])
}
