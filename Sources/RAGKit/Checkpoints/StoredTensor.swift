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
    /// The place of the first element in `storage`, in elements.
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

    /// The number of elements.
    var count: Int { shape.reduce(1, *) }

    func renamed(_ name: String) -> StoredTensor {
        StoredTensor(
            name: name, dtype: dtype, shape: shape, strides: strides, offset: offset,
            storage: storage, file: file)
    }

    /// True if both are the same window of the same bytes, as tied weights are in a `.bin`.
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
        let size = dtype.byteCount
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
        for element in 0..<count {
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
