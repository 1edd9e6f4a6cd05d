/// One optimizer step.
public struct StepReport: Sendable, Equatable {
    /// Counted from 1.
    public var step: Int
    public var totalSteps: Int
    /// The number of passes over the examples, a part of one included.
    public var epoch: Double
    /// The mean per target token, in nats.
    public var loss: Double
    public var learningRate: Double
    /// The norm of all gradients before clipping.
    public var gradNorm: Double
    /// Seconds for the step.
    public var seconds: Double
    public var targetTokens: Int
}
