/// The vectors by which an index knows some passages, each passage once.
public struct PassageVectors: Sendable {
    /// The passages, in the order of the rows.
    public let ids: [PassageID]
    /// `[ids, dimension]`, without a tape.
    public let vectors: Tensor
    private let rowOfID: [PassageID: Int32]

    /// - Parameter vectors: `[ids, dimension]`; only the values are used.
    /// - Precondition: No id is there twice.
    public init(ids: [PassageID], vectors: Tensor) {
        precondition(
            vectors.rank == 2 && vectors.dim(0) == ids.count,
            "PassageVectors: vectors \(vectors.shape) for \(ids.count) ids")
        self.ids = ids
        self.vectors = vectors.detached
        rowOfID = Dictionary(uniqueKeysWithValues: zip(ids, (0..<Int32(ids.count))))
    }

    /// The row of a passage; nil if it is not there.
    public func row(of id: PassageID) -> Int32? { rowOfID[id] }
}
