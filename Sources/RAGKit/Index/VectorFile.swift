public import Foundation

/// The vectors of passages, one row each, mapped from a safetensors file or in memory.
///
/// The file has a tensor `embeddings`, `[count, dimension]` in Float32, and where the ids are not
/// 0, 1, 2, … a tensor `ids`, `[count]` in Int64. Other tools read it as it is.
public struct VectorFile: Sendable {
    /// `[count, dimension]`; a window of the file where the rows are mapped.
    public let vectors: Tensor
    /// The id of each row, ascending; nil for 0, 1, 2, …
    let rowIDs: [Int]?
    /// Keeps the version that the file belongs to from being removed.
    private let hold: VersionHold?

    static let vectorName = "embeddings"
    static let idName = "ids"

    /// The number of rows.
    public var count: Int { vectors.dim(0) }
    /// The numbers in each row.
    public var dimension: Int { vectors.dim(1) }

    /// Vectors in memory.
    ///
    /// - Parameters:
    ///   - vectors: `[count, dimension]`.
    ///   - ids: The id of each row, ascending; nil for 0, 1, 2, …
    public init(_ vectors: Tensor, ids: [PassageID]? = nil) {
        precondition(vectors.rank == 2, "VectorFile: [count, dimension], not \(vectors.shape)")
        let numbers = ids?.map(\.rawValue)
        precondition(
            numbers.map { VectorFile.problem(ids: $0, count: vectors.dim(0)) == nil } ?? true,
            "VectorFile: ids must be ascending and as many as there are rows")
        self.init(vectors.detached, numbers, nil)
    }

    private init(_ vectors: Tensor, _ ids: [Int]?, _ hold: VersionHold?) {
        self.vectors = vectors
        rowIDs = ids.flatMap { $0.indices.allSatisfy { place in ids?[place] == place } ? nil : $0 }
        self.hold = hold
    }

    /// Maps a file; nothing is read until it is searched.
    ///
    /// - Throws: ``CheckpointError``, ``FileError``.
    public init(contentsOf url: URL) throws { try self.init(contentsOf: url, holding: nil) }

    init(contentsOf url: URL, holding hold: VersionHold?) throws {
        let file = try SafetensorsFile(contentsOf: url)
        let entry = try file.entry(named: VectorFile.vectorName, dtype: .float32)
        func malformed(_ reason: String) -> CheckpointError {
            .malformed(file: url.path, offset: 0, reason: reason)
        }
        guard entry.shape.count == 2 else {
            throw malformed(
                "its vectors have the shape \(entry.shape) instead of [count, dimension]")
        }
        guard Int(bitPattern: entry.bytes.baseAddress) % MemoryLayout<Float>.alignment == 0 else {
            throw malformed("its vectors do not begin at a multiple of 4 bytes")
        }
        var ids: [Int]?
        if file.names.contains(VectorFile.idName) {
            let column = try file.entry(named: VectorFile.idName, dtype: .int64)
            let numbers = (0..<column.count).map { Int(column.element($0, as: Int64.self)) }
            if let problem = VectorFile.problem(ids: numbers, count: entry.shape[0]) {
                throw malformed(problem)
            }
            ids = numbers
        }
        self.init(Tensor(mapped: entry), ids, hold)
    }

    private static func problem(ids: [Int], count: Int) -> String? {
        guard ids.count == count else { return "it has \(ids.count) ids for \(count) vectors" }
        guard ids.first ?? 0 >= 0, zip(ids, ids.dropFirst()).allSatisfy({ $0 < $1 }) else {
            return "its ids do not ascend from 0"
        }
        return nil
    }

    /// The id of a row.
    public func id(ofRow row: Int) -> PassageID { PassageID(rowIDs?[row] ?? row) }

    /// The row of an id; nil if there is none.
    public func row(of id: PassageID) -> Int? {
        guard let rowIDs else { return id.rawValue >= 0 && id.rawValue < count ? id.rawValue : nil }
        let row = rowIDs.partition(before: id.rawValue, \.self)
        return row < rowIDs.count && rowIDs[row] == id.rawValue ? row : nil
    }

    /// Copies of the vectors of some ids, `[ids, dimension]`.
    ///
    /// - Precondition: Every id has a row.
    public func vectors(of ids: [PassageID]) -> Tensor {
        let dimension = dimension
        return Tensor(shape: [ids.count, dimension]) { pointer in
            for (place, id) in ids.enumerated() {
                guard let row = row(of: id) else {
                    preconditionFailure("no vector of passage \(id)")
                }
                (pointer + place * dimension)
                    .initialize(from: vectors.pointer + row * dimension, count: dimension)
            }
        }
    }
}

extension Tensor {
    /// A tensor over the Float32 elements of a mapped file, which are not copied.
    ///
    /// - Precondition: The elements are Float32 at a multiple of 4 bytes.
    init(mapped entry: SafetensorsFile.Entry) {
        guard let address = entry.bytes.baseAddress, entry.count > 0 else {
            self.init(shape: entry.shape) { _ in }
            return
        }
        let floats = address.assumingMemoryBound(to: Float.self)
        self.init(
            shape: entry.shape,
            storage: TensorStorage(borrowing: floats, count: entry.count, owner: entry.file))
    }
}
