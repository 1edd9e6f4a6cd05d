/// The position-wise feed-forward block: `fc2(dropout(activation(fc1(x))))`.
///
/// Its parts are named as in BART's checkpoints. Residual, norm and dropout of the result are left to
/// the block above.
///
/// Source: Vaswani et al. 2017, arXiv:1706.03762, section 3.3.
public final class FeedForward: Module {
    @ModuleInfo(key: "fc1") var expand: Linear
    @ModuleInfo(key: "fc2") var contract: Linear
    let dropout: Dropout
    let activation: Activation

    /// - Parameters:
    ///   - width: of what comes in and goes out.
    ///   - innerWidth: between the two maps.
    ///   - dropout: of what is between them.
    public init(
        width: Int, innerWidth: Int, activation: Activation = .gelu, dropout: Float = 0,
        initialization: Parameter.Initialization = .normal(standardDeviation: 0.02)
    ) {
        self.dropout = Dropout(dropout)
        self.activation = activation
        super.init()
        expand = Linear(width, innerWidth, initialization: initialization)
        contract = Linear(innerWidth, width, initialization: initialization)
    }

    /// - Parameter hidden: `[rows, width]`.
    /// - Returns: `[rows, width]`.
    public func callAsFunction(_ hidden: Tensor) -> Tensor {
        contract(dropout(expand(hidden, activation: activation)))
    }
}
