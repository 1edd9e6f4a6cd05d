/// A value that optimizers change and checkpoints hold.
///
/// A reference: every module that uses the same parameter (tied embeddings, say) holds the same
/// object. Only the optimizer and `update` change the value. The packs that products read lie with
/// the value's storage, so a new value never meets old packs.
public final class Parameter {
    /// The rule that fills a fresh parameter.
    public enum Initialization: Sendable, Equatable {
        case zeros
        case ones
        case constant(Float)
        /// The normal distribution around 0.
        case normal(standardDeviation: Float)
    }

    /// The shape of the value.
    public let shape: [Int]
    /// The rule by which `initialize` fills it.
    public let initialization: Initialization
    /// A constant of the model that checkpoints hold but no optimizer changes.
    public let isBuffer: Bool
    /// True if the optimizer may change it and tapes record it; never for a buffer.
    public var isTrainable: Bool { didSet { if isBuffer { isTrainable = false } } }
    /// A row that initialization leaves zero: an embedding's padding entry.
    let zeroRow: Int?

    private var stored: Tensor?
    /// The one node that stands for this parameter on every tape.
    let leaf: Node

    /// A parameter without a value yet: `initialize` or a load fills it.
    public init(
        _ shape: [Int], _ initialization: Initialization, isBuffer: Bool = false,
        zeroRow: Int? = nil
    ) {
        self.shape = shape
        self.initialization = initialization
        self.isBuffer = isBuffer
        self.zeroRow = zeroRow
        isTrainable = !isBuffer
        leaf = Node(leaf: "parameter", shape: shape)
    }

    /// The value, without a tape.
    ///
    /// - Precondition: the parameter was filled by `initialize` or a load.
    public var value: Tensor {
        guard let stored else {
            preconditionFailure(
                "a parameter of shape \(shape) has no value yet: initialize or load the model")
        }
        return stored
    }

    /// True if the value is there.
    public var isFilled: Bool { stored != nil }

    /// The value as operators take it: recorded when it is trainable.
    public var tensor: Tensor {
        let value = self.value
        guard isTrainable, ForwardContext.current.recordsTape else { return value }
        return Tensor(
            shape: shape, storage: value.storage, offset: value.offset, node: leaf)
    }

    /// Replaces the value.
    ///
    /// - Precondition: `value` has the parameter's shape.
    public func update(_ value: Tensor) {
        precondition(
            value.shape == shape, "Parameter: a value of shape \(value.shape) for \(shape)")
        stored = value.detached
    }

    /// Changes the elements in place; copies them first when a snapshot shares them.
    func update(_ body: (UnsafeMutablePointer<Float>) -> Void) {
        updateWithPacks(keeping: false) { values, _ in body(values) }
    }

    /// Changes the elements in place by a body that also rebuilds the given packs, row by row.
    func updateWithPacks(
        keeping: Bool = true, _ body: (UnsafeMutablePointer<Float>, _ packs: [WeightPack]) -> Void
    ) {
        let current = value
        stored = nil
        let (own, packs) = (consume current).ownedWithPacks(keeping: keeping)
        body(own.writablePointer, packs)
        stored = own
    }

    /// Fills the value as `initialization` says.
    public func initialize(using generator: inout some RandomNumberGenerator) {
        switch initialization {
        case .zeros: update(.zeros(shape))
        case .ones: update(.full(shape, 1))
        case .constant(let value): update(.full(shape, value))
        case .normal(let deviation):
            update(.randomNormal(shape, standardDeviation: deviation, using: &generator))
        }
        if let zeroRow {
            let width = shape.product / shape[0]
            update { ($0 + zeroRow * width).update(repeating: 0, count: width) }
        }
    }
}
