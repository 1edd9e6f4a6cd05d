extension Module {
    /// Runs a part of a model, and where the context says so keeps only what goes in: what the part
    /// computes on the way is let go, and computed again when the gradient comes by. That takes the
    /// time of another forward pass, and the memory of one part instead of all.
    ///
    ///     hidden = layer.checkpointed([hidden, memory]) { layer($0[0], $0[1]) }
    ///
    /// The second pass drops out the same elements and has the same bits. So have the gradients, but
    /// where several parts share an input: theirs are added up in another order.
    ///
    /// Source: Chen et al. 2016, arXiv:1604.06174.
    ///
    /// - Parameters:
    ///   - inputs: every recorded tensor that `body` uses.
    ///   - body: takes the inputs in their order; uses no trainable parameters but this module's.
    /// - Returns: what `body` returns.
    public func checkpointed(
        _ inputs: [Tensor], _ body: @escaping ([Tensor]) -> Tensor
    ) -> Tensor {
        let context = ForwardContext.current
        guard context.checkpointsActivations, context.recordsTape else { return body(inputs) }
        let replay = context.replayed()
        let values = inputs.map(\.detached)
        let isRecorded = inputs.map(\.isRecorded)
        let parameters = parameters().filter(\.isTrainable)
        let value = withoutGradients { body(values) }
        return .record("checkpoint", inputs + parameters.map(\.tensor), value: value) {
            gradient, sink in
            let again = zip(values, isRecorded).map { $1 ? $0.variable() : $0 }
            let leaves = again.map(\.node) + parameters.map(\.leaf)
            let output = ForwardContext.$scoped.withValue(replay) { body(again) }
            walk(from: output, to: leaves, cotangent: gradient) { sink.add($1, to: $0) }
        }
    }
}
