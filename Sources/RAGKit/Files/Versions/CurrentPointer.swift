import Foundation

/// The file `CURRENT`: the name of the live version and the checksum of its manifest.
struct CurrentPointer {
    var name: String
    var checksum: UInt32

    static func url(in directory: URL) -> URL { directory.appendingPathComponent("CURRENT") }

    /// - Returns: Nil if there is no such file.
    /// - Throws: ``VersionError``, ``FileError``.
    init?(in directory: URL, _ kind: VersionKind) throws {
        let url = CurrentPointer.url(in: directory)
        let text: String
        do {
            let file = try MappedFile(contentsOf: url)
            text = withExtendedLifetime(file) {
                String(decoding: file.bytes.prefix(256), as: UTF8.self)
            }
        } catch let error as FileError where error.isMissing {
            return nil
        }
        let words = text.split(separator: " ", omittingEmptySubsequences: false)
        guard words.count == 2, let checksum = UInt32(words[1].dropLast(), radix: 16),
            FileList.isPlain(words[0])
        else { throw kind.damaged(url, "it names no version") }
        (name, self.checksum) = (String(words[0]), checksum)
        guard text == self.text else { throw kind.damaged(url, "it names no version") }
    }

    init(name: String, manifest: [UInt8]) {
        self.name = name
        checksum = manifest.withUnsafeBytes { CRC32C.checksum(of: $0) }
    }

    private var text: String { "\(name) \(String(checksum, radix: 16))\n" }

    func write(in directory: URL) throws {
        try AtomicFile.write(text, to: CurrentPointer.url(in: directory))
    }
}
