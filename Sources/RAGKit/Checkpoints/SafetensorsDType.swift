/// The element types of the safetensors format that RAGKit reads and writes.
enum SafetensorsDType: String, Sendable, CaseIterable {
    case float64 = "F64"
    case float32 = "F32"
    case float16 = "F16"
    case bfloat16 = "BF16"
    case int64 = "I64"
    case int32 = "I32"
    case int16 = "I16"
    case int8 = "I8"
    case uint8 = "U8"
    case bool = "BOOL"

    /// Bytes per element.
    var byteCount: Int {
        switch self {
        case .float64, .int64: 8
        case .float32, .int32: 4
        case .float16, .bfloat16, .int16: 2
        case .int8, .uint8, .bool: 1
        }
    }

    /// The bytes of a tensor of this type, or nil if a dimension is negative or the product
    /// overflows.
    func byteCount(shape: some Sequence<Int>) -> Int? {
        // A zero must not hide an overflow of the other dimensions from readers in other languages.
        var count = byteCount
        var isEmpty = false
        for dimension in shape {
            guard dimension >= 0 else { return nil }
            if dimension == 0 {
                isEmpty = true
                continue
            }
            let (product, overflow) = count.multipliedReportingOverflow(by: dimension)
            if overflow { return nil }
            count = product
        }
        return isEmpty ? 0 : count
    }
}
