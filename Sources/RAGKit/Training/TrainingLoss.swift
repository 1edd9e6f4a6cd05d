/// The loss of a batch.
public struct TrainingLoss {
    /// A scalar, the sum over the batch.
    public var sum: Tensor
    /// The number of terms in the sum: target tokens, usually.
    public var weight: Int

    public init(sum: Tensor, weight: Int) {
        self.sum = sum
        self.weight = weight
    }
}
