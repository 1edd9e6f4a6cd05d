/// The conditions of a search.
public struct SearchParameters: Sendable, Equatable {
    /// Ids that are not found, one set for each query; empty for none at all.
    public var excluded: [Set<PassageID>]

    public init(excluded: [Set<PassageID>] = []) { self.excluded = excluded }
}
