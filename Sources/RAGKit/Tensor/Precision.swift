import RAGKitBLAS

/// The number format in which products with weights read their operands, forward and backward. Sums,
/// weights, gradients and everything else are Float32 whatever it is; only attention's products
/// round too, to bfloat16, if this is not Float32 and the processor multiplies such.
public enum Precision: String, Sendable, CaseIterable {
    case float32
    /// Operands rounded to bfloat16: half the memory to read, and twice the speed on processors that
    /// multiply bfloat16.
    case bfloat16
    /// Operands rounded to 8-bit integers, with scales for each output's weights and each row of
    /// inputs, new ones for every 768 of them: for encoding and generating. It has no gradient.
    case int8

    var format: CInt {
        switch self {
        case .float32: CInt(RAGKIT_FLOAT32)
        case .bfloat16: CInt(RAGKIT_BFLOAT16)
        case .int8: CInt(RAGKIT_INT8)
        }
    }
}
