import RAGKitBLAS

/// A tensor as it lies in a file of weights: a window of elements of some type.
///
/// `@unchecked Sendable`: the bytes are never written, and `file` keeps them in place.
struct StoredTensor: @unchecked Sendable {
    let name: String
    let dtype: SafetensorsDType
    let shape: [Int]
    /// The distance in elements between neighbours along each axis; nil where the elements follow
    /// each other in row-major order.
    let strides: [Int]?
    /// Where the first element lies in `storage`, in elements.
    let offset: Int
    /// The elements it is a window of, little-endian, at any alignment.
    let storage: UnsafeRawBufferPointer
    let file: MappedFile

    /// - Precondition: the view lies inside the storage; readers check that.
    init(
        name: String, dtype: SafetensorsDType, shape: [Int], strides: [Int]? = nil,
        offset: Int = 0, storage: UnsafeRawBufferPointer, file: MappedFile
    ) {
        self.name = name
        self.dtype = dtype
        self.shape = shape
        self.strides = strides
        self.offset = offset
        self.storage = storage
        self.file = file
    }

    init(_ entry: SafetensorsFile.Entry) {
        self.init(
            name: entry.name, dtype: entry.dtype, shape: entry.shape, storage: entry.bytes,
            file: entry.file)
    }

    func renamed(_ name: String) -> StoredTensor {
        StoredTensor(
            name: name, dtype: dtype, shape: shape, strides: strides, offset: offset,
            storage: storage, file: file)
    }

    /// Whether both are the same window of the same bytes, as tied weights are in a `.bin`.
    func isSameWindow(as other: StoredTensor) -> Bool {
        storage.baseAddress == other.storage.baseAddress && offset == other.offset
            && dtype == other.dtype && shape == other.shape && strides == other.strides
            && !shape.contains(0)
    }

    /// Calls `body` with the elements in row-major order: in place when they lie so, else a copy.
    func withBytes<Result>(
        _ body: (UnsafeRawBufferPointer) throws -> Result
    ) rethrows -> Result {
        defer { withExtendedLifetime(file) {} }
        let (size, count) = (dtype.byteCount, shape.product)
        guard count > 0 else { return try body(UnsafeRawBufferPointer(start: nil, count: 0)) }
        guard let strides else {
            let begin = offset * size
            return try body(
                UnsafeRawBufferPointer(rebasing: storage[begin..<begin + count * size]))
        }
        let copy = UnsafeMutableRawBufferPointer.allocate(byteCount: count * size, alignment: 64)
        defer { copy.deallocate() }
        gather(strides, into: copy)
        return try body(UnsafeRawBufferPointer(copy))
    }

    /// Copies the elements into row-major order, counting through the indices like an odometer.
    private func gather(_ strides: [Int], into copy: UnsafeMutableRawBufferPointer) {
        let size = dtype.byteCount
        var index = [Int](repeating: 0, count: shape.count)
        var place = offset
        for element in 0..<shape.product {
            let source = UnsafeRawBufferPointer(
                rebasing: storage[place * size..<(place + 1) * size])
            UnsafeMutableRawBufferPointer(rebasing: copy[element * size..<(element + 1) * size])
                .copyMemory(from: source)
            for axis in shape.indices.reversed() {
                index[axis] += 1
                place += strides[axis]
                if index[axis] < shape[axis] { break }
                place -= index[axis] * strides[axis]
                index[axis] = 0
            }
        }
    }
}

extension Tensor {
    /// The stored elements in Float32: in place when they are that, aligned and in order, else
    /// converted into a tensor of its own.
    ///
    /// - Throws: `CheckpointError.wrongType` for integers.
    init(_ stored: StoredTensor) throws {
        let count = stored.shape.product
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
