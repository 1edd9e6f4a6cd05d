import RAGKitBLAS

/// The exact index: compares every vector with every query.
///
/// Up to about a million vectors this is fast enough to search in every training step, and it needs
/// no time to build.
public struct FlatIndex: VectorIndex {
    /// The vectors with their ids.
    public let rows: VectorFile

    public init(_ rows: VectorFile) { self.rows = rows }

    /// An index in memory.
    ///
    /// - Parameter vectors: `[count, dimension]`; row `i` belongs to passage `i`.
    public init(_ vectors: Tensor) { rows = VectorFile(vectors) }

    public var count: Int { rows.count }
    public var dimension: Int { rows.dimension }

    public func search(
        _ queries: Tensor, count: Int, _ parameters: SearchParameters
    ) throws -> [[SearchHit]] {
        guard count >= 1 else { throw IndexError.invalidCount(count) }
        guard queries.rank == 2, queries.dim(1) == dimension else {
            throw IndexError.dimensionMismatch(
                expected: dimension, found: queries.shape.last ?? 0)
        }
        let excluded = parameters.excluded
        precondition(
            excluded.isEmpty || excluded.count == queries.dim(0),
            "search: \(excluded.count) sets of excluded ids for \(queries.dim(0)) queries")
        let limit = min(count, self.count)
        let total = queries.dim(0) * limit
        var found = [Int](repeating: -1, count: total)
        var scores = [Float](repeating: 0, count: total)
        let lists = excluded.map { $0.compactMap(rows.row).sorted() }
        let offsets = lists.reduce(into: [0]) { $0.append(($0.last ?? 0) + $1.count) }
        let hidden = lists.flatMap { $0 }
        hidden.withUnsafeBufferPointer { hidden in
            offsets.withUnsafeBufferPointer { offsets in
                ragkit_search(
                    queries.dim(0), self.count, dimension, queries.pointer, rows.vectors.pointer,
                    limit, lists.isEmpty ? nil : offsets.baseAddress,
                    lists.isEmpty ? nil : hidden.baseAddress, &found, &scores)
            }
        }
        return (0..<queries.dim(0)).map { query in
            (query * limit..<(query + 1) * limit).compactMap { position in
                // A row of -1 says that there are no more; it never leaves this function.
                found[position] < 0
                    ? nil
                    : SearchHit(id: rows.id(ofRow: found[position]), score: scores[position])
            }
        }
    }

    public func vectors(of ids: [PassageID]) -> Tensor { rows.vectors(of: ids) }

    public func id(at place: Int) -> PassageID { rows.id(ofRow: place) }
}
