import Foundation

/// A folder of its own for one test, removed when the last reference goes.
final class TemporaryDirectory: Sendable {
    let url: URL

    init() throws {
        let name = "ragkit-test-\(UUID().uuidString)"
        url = FileManager.default.temporaryDirectory.appendingPathComponent(name, isDirectory: true)
        try FileManager.default.createDirectory(at: url, withIntermediateDirectories: true)
    }

    deinit { try? FileManager.default.removeItem(at: url) }

    /// The URL of a file or folder inside.
    func file(_ name: String) -> URL { url.appendingPathComponent(name) }

    /// Writes a file inside, plainly.
    @discardableResult
    func write(_ bytes: some Sequence<UInt8>, to name: String) throws -> URL {
        let destination = file(name)
        try Data(bytes).write(to: destination)
        return destination
    }

    /// The names inside, sorted.
    func names() throws -> [String] {
        try FileManager.default.contentsOfDirectory(atPath: url.path).sorted()
    }
}
