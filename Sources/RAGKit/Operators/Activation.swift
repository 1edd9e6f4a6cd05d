import RAGKitBLAS

/// A function of one variable, applied to each element.
public enum Activation: Sendable, Equatable {
    case identity
    /// `max(x, 0)`.
    case relu
    /// `x · Φ(x)`, the exact form with the error function: BERT's and BART's.
    case gelu
    /// `0.5 x (1 + tanh(√(2/π) (x + 0.044715 x³)))`: T5 v1.1's.
    case geluTanh
    /// `x · sigmoid(x)`.
    case silu
    case tanh
    case sigmoid

    var kernel: Int32 {
        switch self {
        case .identity: Int32(RAGKIT_IDENTITY)
        case .relu: Int32(RAGKIT_RELU)
        case .gelu: Int32(RAGKIT_GELU)
        case .geluTanh: Int32(RAGKIT_GELU_TANH)
        case .silu: Int32(RAGKIT_SILU)
        case .tanh: Int32(RAGKIT_TANH)
        case .sigmoid: Int32(RAGKIT_SIGMOID)
        }
    }
}
