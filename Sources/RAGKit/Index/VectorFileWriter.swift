public import Foundation

/// Takes the rows of a ``VectorFile`` in order, a block at a time, to disk or into memory.
public final class VectorFileWriter {
    /// The number of rows wanted.
    public let count: Int
    public let dimension: Int
    /// The number of rows taken so far.
    public private(set) var rows = 0
    private let ids: [PassageID]?
    private let file: StreamedFile?
    private let url: URL?
    private var memory: Tensor?

    /// - Parameters:
    ///   - ids: The id of each row, ascending; nil for 0, 1, 2, …
    ///   - url: A file that does not exist yet; nil keeps the rows in memory.
    /// - Throws: ``CheckpointError/invalidTensor(name:reason:)`` for a size that is too large,
    ///   ``FileError``.
    public init(count: Int, dimension: Int, ids: [PassageID]? = nil, at url: URL?) throws {
        (self.count, self.dimension, self.ids, self.url) = (count, dimension, ids, url)
        guard let url else {
            file = nil
            return
        }
        var header = SafetensorsWriter(alignment: 64)
        try header.add(VectorFile.vectorName, dtype: .float32, shape: [count, dimension]) { _ in }
        if let ids {
            try header.add(VectorFile.idName, dtype: .int64, shape: [ids.count]) { _ in }
        }
        file = try StreamedFile(url)
        try header.writeHeader { try file?.sink.write($0) }
    }

    /// Takes the next rows.
    ///
    /// - Parameter block: `[rows, dimension]`.
    /// - Throws: ``IndexError/notFinite(row:column:value:)``, ``FileError``.
    public func append(_ block: Tensor) throws {
        precondition(
            block.rank == 2 && block.dim(1) == dimension && rows + block.dim(0) <= count,
            "VectorFileWriter: rows \(block.shape) behind \(rows) of [\(count), \(dimension)]")
        if let place = block.withUnsafeElements({ $0.firstIndex { !$0.isFinite } }) {
            throw IndexError.notFinite(
                row: rows + place / dimension, column: place % dimension,
                value: block.withUnsafeElements { $0[place] })
        }
        if let file {
            try block.withUnsafeElements { try file.sink.write(UnsafeRawBufferPointer($0)) }
        } else if block.dim(0) == count {
            memory = block.detached
        } else {
            let all = memory ?? Tensor(shape: [count, dimension]) { _ in }
            block.withUnsafeElements { elements in
                guard let address = elements.baseAddress else { return }
                (all.writablePointer + rows * dimension)
                    .update(from: address, count: elements.count)
            }
            memory = all
        }
        rows += block.dim(0)
    }

    /// Ends the file and opens it.
    ///
    /// - Precondition: All rows were taken.
    /// - Throws: ``FileError``.
    public func finish() throws -> VectorFile {
        precondition(rows == count, "VectorFileWriter: \(rows) rows of \(count)")
        guard let file, let url else {
            return VectorFile(memory ?? .zeros([count, dimension]), ids: ids)
        }
        if let ids {
            try ids.map { Int64($0.rawValue) }.withUnsafeBytes { try file.sink.write($0) }
        }
        try file.finish()
        return try VectorFile(contentsOf: url)
    }
}
