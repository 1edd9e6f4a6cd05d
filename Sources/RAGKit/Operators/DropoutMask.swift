import RAGKitBLAS

/// The elements that one call of dropout sets to zero.
public struct DropoutMask: Sendable {
    let rate: Float
    let seed: UInt64
    let stream: UInt64

    /// No dropout.
    public static let none = DropoutMask(rate: 0, seed: 0, stream: 0)

    var kernel: ragkit_dropout { ragkit_dropout(rate: rate, seed: seed, stream: stream) }
}
