import Foundation

/// A file inside a folder that is not published yet, written over a longer time.
///
/// It is not renamed: what publishes it is the folder's own renaming.
final class StreamedFile {
    let sink: FileSink
    private let descriptor: Int32
    private let path: String
    private var isOpen = true

    /// - Throws: ``FileError``, also where there is something already.
    init(_ url: URL) throws {
        path = url.path
        descriptor = try FileCalls.create(path)
        sink = FileSink(descriptor: descriptor, path: path)
    }

    deinit {
        if isOpen { close(descriptor) }
    }

    /// Writes what is buffered, synchronises and closes.
    func finish() throws {
        try sink.finish()
        isOpen = false
        guard close(descriptor) == 0 else { throw FileCalls.failure("close", path) }
    }
}
