import Foundation

/// Writes a safetensors file, tensor by tensor in the order added, without doubling it in memory.
///
/// ```swift
/// var writer = SafetensorsWriter(metadata: ["format": "pt"])
/// try writer.add("weight", dtype: .float32, shape: [2, 3]) { emit in
///     try values.withUnsafeBytes { try emit($0) }
/// }
/// try writer.write(to: folder.appendingPathComponent("model.safetensors"))
/// ```
struct SafetensorsWriter {
    /// Hands over the bytes of a tensor by one or several calls of `emit`.
    typealias ByteProvider =
        (_ emit: (UnsafeRawBufferPointer) throws -> Void) throws -> Void

    private struct Item {
        var name: String
        var dtype: SafetensorsDType
        var shape: [Int]
        var begin: Int
        var end: Int
        var provider: ByteProvider
    }

    private let metadata: [String: String]
    private let alignment: Int
    private var items: [Item] = []
    private var names = Set<String>()

    /// - Parameters:
    ///   - metadata: Texts for the header, written in the order of their keys.
    ///   - alignment: The first data byte lies at a multiple of this, in bytes: the header is
    ///     filled up with spaces.
    /// - Precondition: `alignment` is a multiple of 8.
    init(metadata: [String: String] = [:], alignment: Int = 8) {
        precondition(alignment > 0 && alignment % 8 == 0, "alignment \(alignment) is not 8·n")
        self.metadata = metadata
        self.alignment = alignment
    }

    /// Adds a tensor behind those added before.
    ///
    /// - Parameters:
    ///   - shape: The sizes along each axis; empty for a single number, a size may be 0.
    ///   - provider: Called when the file is written; must give the elements in row-major order,
    ///     little-endian, exactly as many bytes as the shape has.
    /// - Throws: ``CheckpointError/invalidTensor(name:reason:)`` for a name used before or a shape
    ///   that is negative or too large.
    mutating func add(
        _ name: String, dtype: SafetensorsDType, shape: [Int],
        bytes provider: @escaping ByteProvider
    ) throws {
        func invalid(_ reason: String) -> CheckpointError {
            .invalidTensor(name: name, reason: reason)
        }
        guard name != "__metadata__" else { throw invalid("the format reserves this name") }
        guard names.insert(name).inserted else { throw invalid("the name is used twice") }
        guard let byteCount = dtype.byteCount(shape: shape) else {
            throw invalid("the shape \(shape) is negative or too large")
        }
        let begin = items.last?.end ?? 0
        let (end, overflow) = begin.addingReportingOverflow(byteCount)
        guard !overflow else { throw invalid("the file would be too large") }
        items.append(
            Item(
                name: name, dtype: dtype, shape: shape, begin: begin, end: end, provider: provider))
    }

    /// Adds a tensor whose elements are held in an array.
    ///
    /// - Throws: As the other `add`, and ``CheckpointError/wrongByteCount(tensor:expected:found:)``
    ///   if the array does not fill the shape.
    mutating func add<Value: BitwiseCopyable>(
        _ name: String, dtype: SafetensorsDType, shape: [Int], values: [Value]
    ) throws {
        let found = values.count * MemoryLayout<Value>.stride
        if let expected = dtype.byteCount(shape: shape), expected != found {
            throw CheckpointError.wrongByteCount(tensor: name, expected: expected, found: found)
        }
        try add(name, dtype: dtype, shape: shape) { emit in
            try values.withUnsafeBytes { try emit($0) }
        }
    }

    /// Writes the file atomically; a file already there stays as it was if anything fails.
    ///
    /// - Throws: ``CheckpointError/wrongByteCount(tensor:expected:found:)``, what a provider throws,
    ///   or ``FileError``.
    func write(to url: URL) throws {
        try AtomicFile.write(to: url) { sink in
            try writeHeader { try sink.write($0) }
            for item in items {
                let expected = item.end - item.begin
                var found = 0
                try item.provider { bytes in
                    found += bytes.count
                    // Stops at once instead of filling the disk.
                    if found <= expected { try sink.write(bytes) }
                }
                guard found == expected else {
                    throw CheckpointError.wrongByteCount(
                        tensor: item.name, expected: expected, found: found)
                }
            }
        }
    }

    /// Hands over the beginning of the file, up to the first byte of the first tensor.
    func writeHeader(_ emit: (UnsafeRawBufferPointer) throws -> Void) throws {
        let header = try headerBytes()
        try withUnsafeBytes(of: UInt64(header.count).littleEndian) { try emit($0) }
        try header.withUnsafeBytes { try emit($0) }
    }

    private func headerBytes() throws -> [UInt8] {
        var members: [String] = []
        if !metadata.isEmpty {
            let texts = metadata.keys.sorted().map { key in
                "\(JSONValue.quoted(key)):\(JSONValue.quoted(metadata[key, default: ""]))"
            }
            members.append("\"__metadata__\":{\(texts.joined(separator: ","))}")
        }
        for item in items {
            let shape = item.shape.map(String.init).joined(separator: ",")
            members.append(
                "\(JSONValue.quoted(item.name)):{\"dtype\":\"\(item.dtype.rawValue)\","
                    + "\"shape\":[\(shape)],\"data_offsets\":[\(item.begin),\(item.end)]}")
        }
        var header = Array("{\(members.joined(separator: ","))}".utf8)
        let excess = (8 + header.count) % alignment
        if excess > 0 {
            header.append(contentsOf: [UInt8](repeating: 0x20, count: alignment - excess))
        }
        guard header.count <= SafetensorsFile.maximumHeaderSize else {
            throw CheckpointError.invalidTensor(
                name: items.last?.name ?? "", reason: "the header would have \(header.count) bytes")
        }
        return header
    }
}
