import RAGKitBLAS

/// The gradients of some parameters: one buffer each, added to in place over several backward walks.
public struct Gradients: Sendable {
    private var byParameter: [ObjectIdentifier: Tensor] = [:]
    /// The parameters in the order in which they were first given.
    private var order: [ObjectIdentifier] = []

    public init() {}

    /// The gradient of `parameter`, in its shape; `nil` when no gradient reached it.
    public subscript(parameter: Parameter) -> Tensor? {
        byParameter[ObjectIdentifier(parameter)]
    }

    /// Adds the gradients of another walk, such as the next micro-batch's.
    public mutating func add(_ other: consuming Gradients) {
        for key in other.order {
            guard let gradient = other.byParameter.removeValue(forKey: key) else { continue }
            add(gradient, key)
        }
    }

    mutating func add(_ gradient: consuming Tensor, _ key: ObjectIdentifier) {
        guard let existing = byParameter.removeValue(forKey: key) else {
            order.append(key)
            byParameter[key] = gradient
            return
        }
        let sum = (consume existing).owned()
        ragkit_axpy(gradient.count, 1, gradient.pointer, sum.writablePointer)
        byParameter[key] = sum
    }

    /// The Euclidean norm of all gradients together.
    public var norm: Double { squaredNorms.reduce(0) { $0 + $1 }.squareRoot() }

    private var squaredNorms: [Double] {
        let profile = Profile.current
        return order.compactMap { byParameter[$0] }.map { gradient in
            defer { profile?.mark("norm", elements: gradient.count) }
            return ragkit_sum_of_squares(gradient.count, gradient.pointer)
        }
    }
}

/// The gradients of a scalar with respect to parameters.
///
/// Walks the tape from `loss` to the parameters and frees it on the way, so that it can be walked
/// once; `retainingTape` keeps it for another call.
///
/// - Parameters:
///   - loss: one element, computed from the parameters while a tape was recorded.
///   - parameters: whose gradients are wanted; the others' are dropped as soon as they appear.
/// - Returns: one buffer for each parameter that `loss` depends on. A parameter it does not depend
///   on has none.
/// - Precondition: `loss` has one element, and its tape was not walked before.
public func gradients(
    of loss: Tensor, for parameters: [Parameter], retainingTape: Bool = false
) -> Gradients {
    precondition(loss.count == 1, "gradients(of:): a scalar is needed, not shape \(loss.shape)")
    let wanted = Dictionary(
        parameters.map { (ObjectIdentifier($0.leaf), ObjectIdentifier($0)) },
        uniquingKeysWith: { first, _ in first })
    var result = Gradients()
    let one = Tensor.full(loss.shape, 1)
    walk(from: loss, cotangent: one, retainingTape: retainingTape) { leaf, gradient in
        if let key = wanted[ObjectIdentifier(leaf)] { result.add(gradient, key) }
    }
    return result
}

/// The gradients of `output · cotangent` with respect to tensors made by `variable()`.
///
/// - Parameters:
///   - output: a tensor computed from `variables` while a tape was recorded.
///   - variables: tensors returned by `Tensor.variable()`.
///   - cotangent: in the shape of `output`; `nil` stands for ones.
/// - Returns: one gradient for each variable, zeros where `output` does not depend on it.
public func gradients(
    of output: Tensor, for variables: [Tensor], cotangent: Tensor? = nil,
    retainingTape: Bool = false
) -> [Tensor] {
    let seed = cotangent ?? .full(output.shape, 1)
    precondition(
        seed.shape == output.shape,
        "gradients(of:): cotangent \(seed.shape) for an output of shape \(output.shape)")
    var found: [ObjectIdentifier: Tensor] = [:]
    walk(from: output, cotangent: seed, retainingTape: retainingTape) { leaf, gradient in
        found[ObjectIdentifier(leaf)] = gradient
    }
    return variables.map { variable in
        precondition(variable.node?.state == .leaf, "gradients(of:): not made by variable()")
        return variable.node.flatMap { found[ObjectIdentifier($0)] } ?? .zeros(variable.shape)
    }
}

/// Hands each of the leaves that `output` depends on its gradient, with its place among them.
///
/// - Precondition: all of the tape below `output` ends in these leaves.
func walk(
    from output: Tensor, to leaves: [Node?], cotangent: Tensor,
    _ leafReached: (Int, Tensor) -> Void
) {
    var places: [ObjectIdentifier: Int] = [:]
    for case (let place, let leaf?) in leaves.enumerated() {
        places[ObjectIdentifier(leaf)] = place
    }
    walk(from: output, cotangent: cotangent, retainingTape: false) { leaf, gradient in
        guard let place = places[ObjectIdentifier(leaf)] else {
            fatalError(
                "a checkpointed part uses a \(leaf.name) of shape \(leaf.shape) that is neither "
                    + "among its inputs nor a parameter of its module: pass it as an input")
        }
        leafReached(place, gradient)
    }
}

/// Visits the nodes below `output`, last made first, and hands each leaf its gradient.
private func walk(
    from output: Tensor, cotangent: Tensor, retainingTape: Bool,
    _ leafReached: (Node, consuming Tensor) -> Void
) {
    guard let root = output.node else { return }
    let engine = GradientEngine()
    let profile = Profile.current
    engine.add(cotangent.detached, to: root)
    var nodes = nodesBelow(root)
    // The last made comes first: every use of a value is newer than the value.
    while let node = nodes.popLast() {
        guard let gradient = engine.take(node) else { continue }
        switch node.state {
        case .leaf:
            leafReached(node, gradient)
        case .recorded:
            node.pullback?(gradient, GradientSink(inputs: node.inputs, engine: engine))
            if let profile {
                // Inputs are read and their gradients written.
                let elements = node.inputs.reduce(node.shape.product) {
                    $0 + 2 * ($1?.shape.product ?? 0)
                }
                profile.mark(node.name, elements: elements)
            }
            if !retainingTape { node.consume() }
        // fatalError, since a precondition of an optimized build stops without its sentence.
        case .notDifferentiable:
            fatalError("\(node.name) has no gradient: detach its input or its result")
        case .consumed:
            fatalError(
                "\(node.name): this tape was walked before; pass retainingTape: true the first time"
            )
        }
    }
}

/// All nodes that `root` depends on, `root` included, in the order in which they were made.
private func nodesBelow(_ root: Node) -> [Node] {
    var seen: Set<ObjectIdentifier> = [ObjectIdentifier(root)]
    var found = [root]
    var next = 0
    while next < found.count {
        for case .some(let input) in found[next].inputs
        where seen.insert(ObjectIdentifier(input)).inserted { found.append(input) }
        next += 1
    }
    return found.sorted { $0.number < $1.number }
}
