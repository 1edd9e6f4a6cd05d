public import Foundation

/// One way to build, store and search an index, as a value with its settings.
///
/// An index is built from the vectors of a version, beside them in the version's folder, and opened
/// from there without being read into memory.
public protocol IndexKind: Sendable {
    /// The name in manifests, for instance `flat`.
    var name: String { get }

    /// Writes the files of an index.
    ///
    /// - Parameters:
    ///   - rows: The vectors, mapped or in memory.
    ///   - previous: The index of the version before, if there is one.
    ///   - folder: The version's folder, which holds the vectors already.
    ///   - progress: Told how many rows are done; throwing from it stops the work.
    func build(
        _ rows: VectorFile, previous: (any VectorIndex)?, in folder: URL,
        progress: (Int) throws -> Void
    ) throws

    /// Opens an index, mapped.
    ///
    /// - Parameters:
    ///   - folder: The folder that ``build(_:previous:in:progress:)`` wrote to.
    ///   - rows: The vectors. The index keeps them as long as it lives: they hold the version.
    func open(_ folder: URL, rows: VectorFile) throws -> any VectorIndex

    /// Makes an index in memory, for a run that stores nothing.
    ///
    /// The default builds it in a temporary folder, which is removed once it is open.
    func index(_ rows: VectorFile, previous: (any VectorIndex)?) throws -> any VectorIndex
}

extension IndexKind {
    public func index(
        _ rows: VectorFile, previous: (any VectorIndex)?
    ) throws -> any VectorIndex {
        let folder = FileManager.default.temporaryDirectory
            .appendingPathComponent("ragkit-index-\(UUID().uuidString)")
        try FileCalls.makeDirectories(folder)
        defer { try? FileCalls.remove(folder.path) }
        try build(rows, previous: previous, in: folder) { _ in try Task.checkCancellation() }
        return try open(folder, rows: rows)
    }
}

extension [any IndexKind] {
    /// The kinds that RAGKit has.
    public static var builtIn: [any IndexKind] { [FlatIndexKind()] }
}
