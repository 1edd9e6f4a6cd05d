import Foundation

/// A safetensors file, mapped into memory and checked before a byte of a tensor is touched.
///
/// The reader is strict: header of at most 100,000,000 bytes that begins with `{`, each name and key
/// once, known element types, shapes whose product does not overflow, and tensors that follow each
/// other without hole or overlap from the first data byte to the last. Values are not looked at
/// (NaN is a value). Opening costs time in proportion to the header only.
///
/// Source: the format's description, https://github.com/huggingface/safetensors#format.
struct SafetensorsFile: Sendable {
    /// One tensor of a file.
    ///
    /// `bytes` is valid as long as ``file`` lives: keep the entry, or its file, while you use them.
    /// Numbers are little-endian. **Do not assume alignment**: a header of odd length puts every
    /// tensor at an odd address.
    ///
    /// `@unchecked Sendable`: the bytes are never written, and `file` keeps them in place.
    struct Entry: @unchecked Sendable {
        let name: String
        let dtype: SafetensorsDType
        /// The sizes along each axis; empty for a single number.
        let shape: [Int]
        /// The elements in row-major order.
        let bytes: UnsafeRawBufferPointer
        /// The file that holds the bytes.
        let file: MappedFile

        /// The number of elements.
        var count: Int { bytes.count / dtype.byteCount }

        /// Reads element `index` as a number of `type`, whatever its alignment.
        ///
        /// - Precondition: `type` has the size of an element, and `index` is within the tensor.
        func element<Value: BitwiseCopyable>(_ index: Int, as type: Value.Type) -> Value {
            precondition(
                MemoryLayout<Value>.size == dtype.byteCount && index >= 0 && index < count,
                "\(name): element \(index) of \(count) as \(type), elements are \(dtype.rawValue)")
            return bytes.loadUnaligned(fromByteOffset: index * dtype.byteCount, as: type)
        }
    }

    /// The longest header the format allows, in bytes.
    static let maximumHeaderSize = 100_000_000

    /// The names of the tensors in the order of their data in the file.
    var names: [String] { header.records.map(\.name) }
    /// The texts that the header carries beside the tensors, for instance `format: pt`.
    var metadata: [String: String] { header.metadata }
    /// The mapped file.
    let file: MappedFile
    private let header: SafetensorsHeader

    /// Opens a file and checks its header.
    ///
    /// - Throws: ``CheckpointError/missingFile(file:advice:)``,
    ///   ``CheckpointError/malformed(file:offset:reason:)`` naming byte and tensor,
    ///   ``CheckpointError/wrongType(file:tensor:expected:found:)`` for an element type that is not
    ///   in ``SafetensorsDType``, or ``FileError``.
    init(contentsOf url: URL, access: MappedFile.Access = .mapped) throws {
        try self.init(.ofWeights(url, access: access))
    }

    init(_ file: MappedFile) throws {
        self.file = file
        header = try SafetensorsHeader(file)
    }

    /// The tensor of this name, or nil if there is none.
    func entry(named name: String) -> Entry? {
        header.index[name].map { entry(at: $0) }
    }

    /// The tensor of this name.
    ///
    /// - Throws: ``CheckpointError/missingTensor(file:name:)``, or
    ///   ``CheckpointError/wrongType(file:tensor:expected:found:)`` if its elements are not `dtype`.
    func entry(named name: String, dtype: SafetensorsDType) throws -> Entry {
        guard let entry = entry(named: name) else {
            throw CheckpointError.missingTensor(file: file.path, name: name)
        }
        guard entry.dtype == dtype else {
            throw CheckpointError.wrongType(
                file: file.path, tensor: name, expected: dtype.rawValue,
                found: entry.dtype.rawValue)
        }
        return entry
    }

    /// All tensors in the order of their data.
    var entries: [Entry] { header.records.indices.map { entry(at: $0) } }

    private func entry(at index: Int) -> Entry {
        let record = header.records[index]
        let begin = header.dataOffset + record.begin
        let end = header.dataOffset + record.end
        return Entry(
            name: record.name, dtype: record.dtype,
            shape: Array(header.dimensions[record.shape]),
            bytes: UnsafeRawBufferPointer(rebasing: file.bytes[begin..<end]), file: file)
    }
}
