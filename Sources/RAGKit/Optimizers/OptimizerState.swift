/// The memory of an optimizer, by names that checkpoints can hold.
public struct OptimizerState: Sendable {
    /// Values of a parameter's shape, such as `encoder.weight.exp_avg`.
    public var tensors: [String: Tensor]
    /// Numbers of updates, such as `encoder.weight.step`.
    public var counts: [String: Int]

    public init(tensors: [String: Tensor] = [:], counts: [String: Int] = [:]) {
        self.tensors = tensors
        self.counts = counts
    }
}
