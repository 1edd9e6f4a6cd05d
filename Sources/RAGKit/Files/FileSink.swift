import Foundation

/// A file being written from its beginning to its end, through a buffer.
///
/// You get one from ``AtomicFile``; it must not be used after the closure that received it.
final class FileSink {
    /// Bytes written so far.
    private(set) var count = 0
    private let descriptor: Int32
    private let path: String
    private var buffer: [UInt8] = []
    private static let capacity = 1 << 18

    init(descriptor: Int32, path: String) {
        self.descriptor = descriptor
        self.path = path
        buffer.reserveCapacity(FileSink.capacity)
    }

    /// Appends bytes.
    ///
    /// - Throws: ``FileError``, for instance when the disk is full.
    func write(_ bytes: UnsafeRawBufferPointer) throws {
        count += bytes.count
        if buffer.count + bytes.count > FileSink.capacity { try flush() }
        if bytes.count >= FileSink.capacity {
            try FileCalls.write(bytes, to: descriptor, path: path)
        } else {
            buffer.append(contentsOf: bytes)
        }
    }

    /// Appends bytes.
    func write(_ bytes: [UInt8]) throws {
        try bytes.withUnsafeBytes { try write($0) }
    }

    /// Appends a text as UTF-8.
    func write(_ text: String) throws {
        var text = text
        try text.withUTF8 { try write(UnsafeRawBufferPointer($0)) }
    }

    func flush() throws {
        guard !buffer.isEmpty else { return }
        try buffer.withUnsafeBytes { try FileCalls.write($0, to: descriptor, path: path) }
        buffer.removeAll(keepingCapacity: true)
    }

    /// Hands everything to the operating system and waits until the disk has it.
    func finish() throws {
        try flush()
        try FileCalls.synchronize(descriptor, path: path)
    }
}
