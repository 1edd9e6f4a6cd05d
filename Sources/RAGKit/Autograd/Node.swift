import Synchronization

/// One step of a recorded computation: what went in, and how gradients go back.
///
/// `@unchecked Sendable` by this invariant: only the task that recorded a node walks it, and it
/// does so once. Values that cross tasks are `detached`, so they carry no node.
final class Node: @unchecked Sendable {
    /// Nodes are numbered as they are made, so an input always has a lower number.
    let number: UInt64
    /// The operator's name, for messages.
    let name: String
    /// The shape of the value, which is that of its gradient.
    let shape: [Int]
    private(set) var inputs: [Node?]
    private(set) var pullback: Pullback?
    private(set) var state: State

    enum State { case leaf, recorded, notDifferentiable, consumed }

    /// Takes the gradient of the value and hands the sink what it makes for each input.
    typealias Pullback = (Tensor, GradientSink) -> Void

    private static let counter = Atomic<UInt64>(0)

    /// A recorded operator. A `nil` pullback makes a step that no gradient can pass.
    init(name: String, shape: [Int], inputs: [Node?], pullback: Pullback?) {
        number = Self.counter.wrappingAdd(1, ordering: .relaxed).newValue
        self.name = name
        self.shape = shape
        self.inputs = inputs
        self.pullback = pullback
        state = pullback == nil ? .notDifferentiable : .recorded
    }

    /// A leaf: a parameter, or a tensor whose gradient is asked for.
    init(leaf name: String, shape: [Int]) {
        number = Self.counter.wrappingAdd(1, ordering: .relaxed).newValue
        self.name = name
        self.shape = shape
        inputs = []
        pullback = nil
        state = .leaf
    }

    /// Frees what the walk no longer needs.
    func consume() {
        guard state == .recorded else { return }
        inputs = []
        pullback = nil
        state = .consumed
    }

    /// A chain of nodes is let go with a loop: one release inside the other would overflow the
    /// stack at some ten thousand operators.
    deinit {
        var pending = inputs
        inputs = []
        pullback = nil  // what it captured may be one of the inputs
        while !pending.isEmpty {
            // Taken out without a second reference, or none would ever be the only one.
            guard var node = pending.removeLast() else { continue }
            guard isKnownUniquelyReferenced(&node) else { continue }
            pending.append(contentsOf: node.inputs)
            node.inputs = []
        }
    }
}
