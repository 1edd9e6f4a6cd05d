import RAGKitBLAS

/// The place for the gradients that a pullback computes of its inputs; the engine alone adds them up.
final class GradientSink {
    private let inputs: [Node?]
    private let engine: GradientEngine

    init(inputs: [Node?], engine: GradientEngine) {
        self.inputs = inputs
        self.engine = engine
    }

    /// True if input `index` needs a gradient; a pullback may skip the others.
    func needs(_ index: Int) -> Bool { inputs[index] != nil }

    /// Adds `gradient` to that of input `index`; it may have been broadcast from the input's shape.
    func add(_ gradient: @autoclosure () -> Tensor, to index: Int) {
        guard let node = inputs[index] else { return }
        engine.add(gradient().summed(to: node.shape), to: node)
    }

    /// Lets `body` write or add to the gradient of input `index` in place, which saves a large
    /// buffer: `accumulate` is false when the buffer holds nothing yet and must be overwritten.
    func accumulate(
        into index: Int, _ body: (UnsafeMutablePointer<Float>, _ accumulate: Bool) -> Void
    ) {
        guard let node = inputs[index] else { return }
        engine.accumulate(into: node, body)
    }
}

/// The gradients of one walk over the tape, by node.
final class GradientEngine {
    private var pending: [ObjectIdentifier: Tensor] = [:]

    func take(_ node: Node) -> Tensor? { pending.removeValue(forKey: ObjectIdentifier(node)) }

    func add(_ gradient: Tensor, to node: Node) {
        precondition(
            gradient.shape == node.shape,
            "\(node.name): a gradient of shape \(gradient.shape) for a value of \(node.shape)")
        guard pending[ObjectIdentifier(node)] != nil else {
            pending[ObjectIdentifier(node)] = gradient.detached
            return
        }
        accumulate(into: node) { buffer, _ in
            ragkit_axpy(gradient.count, 1, gradient.pointer, buffer)
        }
    }

    func accumulate(into node: Node, _ body: (UnsafeMutablePointer<Float>, Bool) -> Void) {
        let key = ObjectIdentifier(node)
        guard let existing = pending.removeValue(forKey: key) else {
            pending[key] = Tensor(shape: node.shape) { body($0, false) }
            return
        }
        // A gradient handed to two inputs shares its storage, and is copied before it is added to.
        let sum = (consume existing).owned()
        body(sum.writablePointer, true)
        pending[key] = sum
    }
}
