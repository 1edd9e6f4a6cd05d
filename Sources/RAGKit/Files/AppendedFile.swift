import Foundation

/// A file that texts are appended to, each at once.
final class AppendedFile {
    private let descriptor: Int32
    private let path: String

    /// Opens a file, which is created if there is none.
    ///
    /// - Throws: ``FileError``; the file's folder must exist.
    init(_ url: URL) throws {
        path = url.path
        descriptor = try FileCalls.openForAppending(path)
    }

    deinit { close(descriptor) }

    /// Writes a text behind what is there.
    func append(_ text: String) throws {
        try Array(text.utf8).withUnsafeBytes {
            try FileCalls.write($0, to: descriptor, path: path)
        }
    }
}
