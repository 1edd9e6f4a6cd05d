import Foundation

/// An index version that is being made: its vectors come block by block, to disk or into memory.
///
/// A draft that is released before it is published leaves nothing behind.
final class IndexDraft {
    let writer: VectorFileWriter
    private let kind: any IndexKind
    private let store: (store: IndexStore, draft: VersionDraft, number: Int)?

    /// - Parameter store: The store to publish to; nil keeps the index in memory.
    /// - Throws: ``VersionError/busy(directory:process:)``, ``FileError``.
    init(
        count: Int, dimension: Int, ids: [PassageID]? = nil, kind: any IndexKind,
        store: IndexStore?
    ) throws {
        self.kind = kind
        guard let store else {
            self.store = nil
            writer = try VectorFileWriter(count: count, dimension: dimension, ids: ids, at: nil)
            return
        }
        let (draft, number) = try store.begin(kind)
        self.store = (store, draft, number)
        writer = try VectorFileWriter(
            count: count, dimension: dimension, ids: ids,
            at: draft.folder.appendingPathComponent(IndexStore.vectorFileName))
    }

    /// Builds the index over the vectors; with a store, writes it and makes it the current version.
    ///
    /// - Parameter previous: The version before, which an index may start from.
    /// - Returns: The version, mapped if there is a store.
    /// - Throws: What the kind throws, or ``FileError``; the version before is then the current one.
    func publish(
        step: Int, origin: IndexOrigin, previous: IndexVersion?,
        progress: (Int) throws -> Void = { _ in }
    ) throws -> IndexVersion {
        let rows = try writer.finish()
        guard let (store, draft, number) = store else {
            return IndexVersion(
                index: try kind.index(rows, previous: previous?.index),
                number: (previous?.number ?? -1) + 1, step: step, origin: origin, kind: kind.name)
        }
        try kind.build(rows, previous: previous?.index, in: draft.folder, progress: progress)
        let version = IndexVersion(
            index: FlatIndex(rows), number: number, step: step, origin: origin, kind: kind.name)
        return try store.publish(draft, version)
    }
}
