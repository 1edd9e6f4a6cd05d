public import Foundation

/// The exact index, which needs no files beside the vectors.
public struct FlatIndexKind: IndexKind {
    public init() {}

    public var name: String { "flat" }

    public func build(
        _ rows: VectorFile, previous: (any VectorIndex)?, in folder: URL,
        progress: (Int) throws -> Void
    ) throws {
        try progress(rows.count)
    }

    public func open(_ folder: URL, rows: VectorFile) throws -> any VectorIndex { FlatIndex(rows) }

    public func index(
        _ rows: VectorFile, previous: (any VectorIndex)?
    ) throws -> any VectorIndex { FlatIndex(rows) }
}
