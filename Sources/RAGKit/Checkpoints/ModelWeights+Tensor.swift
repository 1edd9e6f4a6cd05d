import RAGKitBLAS

extension Tensor {
    /// The stored elements in Float32: in place when they are that, aligned and in order, else
    /// converted into a tensor of its own.
    ///
    /// - Throws: `CheckpointError.wrongType` for integers.
    init(_ stored: StoredTensor) throws {
        let count = stored.count
        guard [.float32, .float64, .float16, .bfloat16].contains(stored.dtype) else {
            throw CheckpointError.wrongType(
                file: stored.file.path, tensor: stored.name, expected: "floating point",
                found: stored.dtype.rawValue)
        }
        if stored.dtype == .float32, stored.strides == nil, count > 0,
            let address = stored.storage.baseAddress.map({ $0 + stored.offset * 4 }),
            Int(bitPattern: address) % MemoryLayout<Float>.alignment == 0
        {
            let floats = address.bindMemory(to: Float.self, capacity: count)
            let storage = TensorStorage(borrowing: floats, count: count, owner: stored.file)
            self.init(shape: stored.shape, storage: storage)
            return
        }
        self.init(shape: stored.shape) { pointer in
            stored.withBytes { Tensor.convert($0, stored.dtype, into: pointer, count) }
        }
    }

    private static func convert(
        _ bytes: UnsafeRawBufferPointer, _ dtype: SafetensorsDType,
        into pointer: UnsafeMutablePointer<Float>, _ count: Int
    ) {
        guard let address = bytes.baseAddress, count > 0 else { return }
        switch dtype {
        case .float16, .bfloat16:
            let convert = dtype == .float16 ? ragkit_from_float16 : ragkit_from_bfloat16
            guard Int(bitPattern: address) % MemoryLayout<UInt16>.alignment == 0 else {
                let halves = (0..<count).map {
                    bytes.loadUnaligned(fromByteOffset: 2 * $0, as: UInt16.self)
                }
                return convert(count, halves, pointer)
            }
            convert(count, address.assumingMemoryBound(to: UInt16.self), pointer)
        case .float64:
            for index in 0..<count {
                pointer[index] = Float(
                    bytes.loadUnaligned(fromByteOffset: 8 * index, as: Double.self))
            }
        default: UnsafeMutableRawPointer(pointer).copyMemory(from: address, byteCount: 4 * count)
        }
    }
}
