/// An affine map: `x · weightᵀ + bias`.
public final class Linear: Module {
    /// `[outputs, inputs]`, as checkpoints store it.
    public let weight: Parameter
    /// `[outputs]`.
    public let bias: Parameter?

    public init(
        _ inputs: Int, _ outputs: Int, bias: Bool = true,
        initialization: Parameter.Initialization = .normal(standardDeviation: 0.02)
    ) {
        weight = Parameter([outputs, inputs], initialization)
        self.bias = bias ? Parameter([outputs], .zeros) : nil
    }

    /// - Parameters:
    ///   - input: `[…, inputs]`.
    ///   - activation: applied to each result, in the same pass as the bias.
    /// - Returns: `[…, outputs]`.
    public func callAsFunction(_ input: Tensor, activation: Activation = .identity) -> Tensor {
        input.linear(weight.tensor, bias: bias?.tensor, activation: activation)
    }
}

/// A table of vectors, one for each id.
public final class Embedding: Module {
    /// `[ids, width]`.
    public let weight: Parameter

    /// - Parameter paddingID: whose vector starts as zeros and gets no gradient from look-ups.
    public init(
        _ count: Int, _ width: Int, paddingID: Int? = nil,
        initialization: Parameter.Initialization = .normal(standardDeviation: 0.02)
    ) {
        weight = Parameter([count, width], initialization, zeroRow: paddingID)
    }

    /// Shares the table of another part of the model.
    public init(tying weight: Parameter) { self.weight = weight }

    /// - Parameter ids: each below the number of rows.
    /// - Returns: `[ids.count, width]`.
    public func callAsFunction(_ ids: [Int32]) -> Tensor {
        weight.tensor.rows(ids, ignoringGradientOf: weight.zeroRow)
    }
}

/// Layer normalization over the last dimension, with gain and bias.
///
/// Source: Ba, Kiros & Hinton 2016, arXiv:1607.06450.
public final class LayerNorm: Module {
    public let weight: Parameter
    public let bias: Parameter
    let epsilon: Float

    public init(_ width: Int, epsilon: Float = 1e-5) {
        weight = Parameter([width], .ones)
        bias = Parameter([width], .zeros)
        self.epsilon = epsilon
    }

    /// - Parameters:
    ///   - input: `[rows, width]`; `dropout` applies to it.
    ///   - residual: added to the dropped-out input before normalizing.
    /// - Returns: `[rows, width]`.
    public func callAsFunction(
        _ input: Tensor, residual: Tensor? = nil, dropout: Dropout? = nil
    ) -> Tensor {
        input.layerNorm(
            gain: weight.tensor, bias: bias.tensor, epsilon: epsilon, residual: residual,
            dropout: dropout?.mask() ?? .none)
    }
}

/// Division by the root mean square over the last dimension, with gain: no mean is taken off and no
/// bias added.
///
/// Source: Zhang & Sennrich 2019, arXiv:1910.07467.
public final class RMSNorm: Module {
    public let weight: Parameter
    let epsilon: Float

    /// - Parameters:
    ///   - epsilon: added to the mean square.
    ///   - gain: what the gain starts with.
    public init(_ width: Int, epsilon: Float = 1e-6, gain: Float = 1) {
        weight = Parameter([width], .constant(gain))
        self.epsilon = epsilon
    }

    /// - Parameter input: `[rows, width]`.
    /// - Returns: `[rows, width]`.
    public func callAsFunction(_ input: Tensor) -> Tensor {
        input.rmsNorm(gain: weight.tensor, epsilon: epsilon)
    }
}

/// Sets elements to zero at random while training, and scales the others up to match.
///
/// The choice is a function of the run's seed, the module's path, step, micro-batch and element, so
/// it is the same for any number of threads, and again when a run is resumed.
///
/// Source: Srivastava et al. 2014, "Dropout".
public final class Dropout: Module {
    /// The share of elements dropped, 0 up to but not including 1, in steps of 1/65536.
    public let rate: Float

    /// - Precondition: `0 <= rate < 1`.
    public init(_ rate: Float) {
        precondition((0..<1).contains(rate), "Dropout: rate \(rate) is not in 0..<1")
        self.rate = rate
    }

    /// The mask of the next call: none outside training.
    public func mask() -> DropoutMask {
        let context = ForwardContext.current
        guard context.isTraining, rate > 0 else { return .none }
        return DropoutMask(rate: rate, seed: context.seed, stream: context.stream(path))
    }

    /// - Returns: in the shape of `input`.
    public func callAsFunction(_ input: Tensor) -> Tensor { input.dropout(mask()) }
}
