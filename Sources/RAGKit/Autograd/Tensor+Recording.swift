extension Tensor {
    /// This value as a leaf whose gradient `gradients(of:for:)` can be asked for.
    public func variable() -> Tensor {
        Tensor(
            shape: shape, storage: storage, offset: offset,
            node: Node(leaf: "variable", shape: shape))
    }

    /// An operator of your own: a value, and how the gradient goes back to the inputs.
    ///
    /// The pullback keeps detached values only; capturing a recorded tensor would keep its whole
    /// tape alive.
    ///
    ///     func cubed(_ x: Tensor) -> Tensor {
    ///         let value = x.detached
    ///         return .custom("cubed", [x], value: value * value * value) { [3 * value * value * $0] }
    ///     }
    ///
    /// - Parameters:
    ///   - name: for messages.
    ///   - inputs: the tensors that `value` was computed from.
    ///   - value: the result; its own tape, if it has one, is dropped.
    ///   - pullback: takes the gradient of the result, in its shape, and returns one gradient for
    ///     each input, in that input's shape, or `nil` where none flows. A `nil` pullback makes an
    ///     operator that stops with its name when a gradient would have to pass through it.
    /// - Returns: `value`, recorded when any input is recorded and the context keeps a tape.
    public static func custom(
        _ name: String, _ inputs: [Tensor], value: Tensor,
        pullback: (@Sendable (Tensor) -> [Tensor?])?
    ) -> Tensor {
        guard let pullback else { return record(name, inputs, value: value, pullback: nil) }
        let count = inputs.count  // not the inputs themselves, which would hold their tape
        return record(name, inputs, value: value) { gradient, sink in
            let results = pullback(gradient)
            precondition(
                results.count == count, "\(name): \(results.count) gradients for \(count) inputs")
            for (index, result) in results.enumerated() {
                if let result { sink.add(result, to: index) }
            }
        }
    }

    /// Records an operator whose pullback returns one gradient for each input.
    static func record(
        _ name: String, _ inputs: Tensor..., value: Tensor,
        returning pullback: @escaping (Tensor) -> [Tensor]
    ) -> Tensor {
        record(name, inputs, value: value) { gradient, sink in
            for (index, result) in pullback(gradient).enumerated() { sink.add(result, to: index) }
        }
    }

    /// Records an operator whose pullback hands its gradients to the sink.
    static func record(
        _ name: String, _ inputs: [Tensor], value: Tensor, pullback: Node.Pullback?
    ) -> Tensor {
        let context = ForwardContext.current
        if let profile = context.profile {
            let elements = inputs.reduce(value.count) { $0 + $1.count }
            profile.mark(name, elements: elements)
        }
        let nodes = inputs.map(\.node)
        guard nodes.contains(where: { $0 != nil }), context.recordsTape else {
            return value.detached
        }
        let node = Node(name: name, shape: value.shape, inputs: nodes, pullback: pullback)
        return Tensor(shape: value.shape, storage: value.storage, offset: value.offset, node: node)
    }
}

/// Runs `body` without recording a tape: nothing it computes has gradients, or holds memory for them.
public func withoutGradients<Result>(_ body: () throws -> Result) rethrows -> Result {
    var context = ForwardContext.current
    context.recordsTape = false
    return try ForwardContext.$scoped.withValue(context, operation: body)
}
