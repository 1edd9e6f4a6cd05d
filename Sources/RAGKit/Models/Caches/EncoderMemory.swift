/// The encoder's states of contexts, which a decoder attends to, however many rows it decodes.
public struct EncoderMemory {
    /// `[totalTokens, hidden]`.
    public let hidden: Tensor
    /// The row at which each context begins, and at last the number of rows.
    public let offsets: [Int]

    public init(hidden: Tensor, offsets: [Int]) {
        self.hidden = hidden
        self.offsets = offsets
    }

    /// The number of contexts.
    public var count: Int { offsets.count - 1 }
}
