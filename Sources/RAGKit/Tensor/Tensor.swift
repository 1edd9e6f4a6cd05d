/// An array of Float32 of any rank, dense and row-major: an immutable value with shared storage.
///
/// Token ids and other integers are `[Int32]`, never tensors. A tensor that was computed from
/// trainable parameters while a tape is recorded remembers how; `detached` is the value alone.
///
/// Shapes in this library are written `[rows, columns]`; a scalar has the shape `[]`.
public struct Tensor: Sendable {
    /// The size of each dimension; `[]` for a scalar.
    public let shape: [Int]
    let storage: TensorStorage
    /// The place of the first element in `storage`.
    let offset: Int
    /// The record of how the value was computed, where gradients can flow back through it.
    let node: Node?

    init(shape: [Int], storage: TensorStorage, offset: Int = 0, node: Node? = nil) {
        self.shape = shape
        self.storage = storage
        self.offset = offset
        self.node = node
    }

    /// A tensor whose elements `fill` writes; it gets `shape`'s product of undefined elements.
    init(shape: [Int], filledBy fill: (UnsafeMutablePointer<Float>) throws -> Void) rethrows {
        let storage = TensorStorage(count: shape.product)
        try fill(storage.pointer)
        self.init(shape: shape, storage: storage)
    }

    /// A tensor of `shape` with `elements` in row-major order.
    ///
    /// - Precondition: `elements.count` is the product of `shape`, and no size is negative.
    public init(_ elements: some Collection<Float>, shape: [Int]) {
        precondition(
            shape.allSatisfy { $0 >= 0 } && shape.product == elements.count,
            "Tensor: \(elements.count) elements do not fill the shape \(shape)")
        self.init(shape: shape) { pointer in
            let buffer = UnsafeMutableBufferPointer(start: pointer, count: elements.count)
            _ = buffer.initialize(from: elements)
        }
    }

    /// A scalar, of shape `[]`.
    public init(_ value: Float) {
        self.init(CollectionOfOne(value), shape: [])
    }

    /// A tensor of `shape` with every element `value`.
    public static func full(_ shape: [Int], _ value: Float) -> Tensor {
        Tensor(shape: shape) { $0.update(repeating: value, count: shape.product) }
    }

    /// A tensor of zeros.
    public static func zeros(_ shape: [Int]) -> Tensor { full(shape, 0) }

    /// The number of elements.
    public var count: Int { shape.product }

    /// The number of dimensions.
    public var rank: Int { shape.count }

    /// The size of dimension `axis`; negative axes count from the end.
    public func dim(_ axis: Int) -> Int { shape[resolved(axis)] }

    /// The index of `axis`, counted from the end when negative.
    func resolved(_ axis: Int) -> Int {
        let index = axis < 0 ? axis + rank : axis
        precondition(shape.indices.contains(index), "axis \(axis) of a tensor of shape \(shape)")
        return index
    }

    /// The elements in row-major order, copied.
    public var elements: [Float] { withUnsafeElements { Array($0) } }

    /// The only element.
    ///
    /// - Precondition: the tensor has one element.
    public func item() -> Float {
        precondition(count == 1, "item() of a tensor of shape \(shape)")
        return pointer[0]
    }

    /// Calls `body` with the elements in row-major order, without a copy.
    public func withUnsafeElements<Result>(
        _ body: (UnsafeBufferPointer<Float>) throws -> Result
    ) rethrows -> Result {
        defer { withExtendedLifetime(storage) {} }
        return try body(UnsafeBufferPointer(start: pointer, count: count))
    }

    /// The first element's address; valid while the tensor's storage lives.
    var pointer: UnsafePointer<Float> { UnsafePointer(storage.pointer + offset) }

    /// The value alone, without how it was computed: gradients stop here.
    public var detached: Tensor {
        node == nil ? self : Tensor(shape: shape, storage: storage, offset: offset)
    }

    /// True if gradients flow back through this value.
    public var isRecorded: Bool { node != nil }

    /// The same elements under another shape, sharing storage.
    func viewed(as shape: [Int], offset: Int = 0) -> Tensor {
        Tensor(shape: shape, storage: storage, offset: self.offset + offset)
    }

    /// A copy with storage of its own.
    func copied() -> Tensor {
        Tensor(shape: shape) { $0.update(from: pointer, count: count) }
    }

    /// The value in storage that nobody else holds, so that it may be written: the receiver's own
    /// when this was the last reference to it, else a copy. Its packs are gone.
    consuming func owned() -> Tensor {
        let (own, _) = ownedWithPacks(keeping: false)
        return own
    }

    /// The same as `owned()`, but packs of the whole value stay where they can be rebuilt row by row, which
    /// the caller does.
    consuming func ownedWithPacks(keeping: Bool = true) -> (Tensor, packs: [WeightPack]) {
        let (shape, offset) = (self.shape, self.offset)
        var storage = self.storage
        _ = consume self
        guard isKnownUniquelyReferenced(&storage), storage.isWritable else {
            return (Tensor(shape: shape, storage: storage, offset: offset).copied(), [])
        }
        let packs = storage.forgetPacks(butFor: keeping ? shape : nil)
        return (Tensor(shape: shape, storage: storage, offset: offset), packs)
    }

    /// The elements of a tensor returned by `owned()`, to be written before anyone else holds it.
    var writablePointer: UnsafeMutablePointer<Float> { storage.pointer + offset }
}

extension Tensor: CustomStringConvertible {
    /// The shape and the first few elements.
    public var description: String {
        let shown = withUnsafeElements { $0.prefix(6).map { "\($0)" }.joined(separator: ", ") }
        return "Tensor\(shape) [\(shown)\(count > 6 ? ", …" : "")]"
    }
}

extension [Int] {
    /// The product of all sizes: the element count of a shape (1 for `[]`).
    var product: Int { reduce(1, *) }

    /// The product of all sizes but the last: the rows of a shape seen as a matrix.
    var rowCount: Int { dropLast().reduce(1, *) }
}
