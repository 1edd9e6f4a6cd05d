import RAGKitBLAS

/// A weight `[outputs, inputs]` in the two products that have it as their right side.
///
/// The weight of many products, or of products in another number format, is
/// rearranged first. Such a pack stays with the weight's storage until that is changed or gone, so
/// that snapshots share it.
struct WeightProduct {
    private let weight: Tensor
    private let precision: Precision
    private let isReused: Bool
    private let profile: Profile?

    /// Above so many rows the arithmetic hides the time that rearranging takes.
    private static let mostRowsOfFloat32 = 256

    /// - Parameters:
    ///   - weight: `[outputs, inputs]`.
    ///   - repeats: whether the caller does the same product several times.
    init(_ weight: Tensor, repeats: Bool = false) {
        let context = ForwardContext.current
        self.weight = weight.detached
        precision = context.precision
        profile = context.profile
        // While training, the weight is about to change.
        isReused = repeats || !(context.recordsTape || context.isTraining)
        precondition(
            precision != .int8 || !context.recordsTape,
            "products of int8 have no gradient: use bfloat16, or record no tape")
    }

    /// `pre = alpha · x · weightᵀ + bias` and `y = activation(pre)`: `[rows, inputs]` →
    /// `[rows, outputs]`.
    ///
    /// - Parameter pre: may be `y`.
    func forward(
        _ rows: Int, alpha: Float = 1, _ x: UnsafePointer<Float>, bias: UnsafePointer<Float>?,
        _ activation: Activation = .identity, pre: UnsafeMutablePointer<Float>,
        _ y: UnsafeMutablePointer<Float>
    ) {
        count(rows)
        if let pack = pack(rows, transposed: true) {
            ragkit_linear_packed(rows, alpha, x, pack.start, bias, activation.kernel, pre, y)
        } else {
            ragkit_linear(
                rows, weight.dim(0), weight.dim(1), alpha, x, weight.pointer, bias,
                activation.kernel, pre, y)
        }
    }

    /// `dx = alpha · dy · weight`, or that added to `dx`: `[rows, outputs]` → `[rows, inputs]`.
    func backward(
        _ rows: Int, alpha: Float = 1, _ dy: UnsafePointer<Float>,
        _ dx: UnsafeMutablePointer<Float>, accumulate: Bool
    ) {
        let (outputs, inputs) = (weight.dim(0), weight.dim(1))
        count(rows)
        if let pack = pack(rows, transposed: false) {
            ragkit_gemm_packed(
                rows, alpha, dy, outputs, pack.start, accumulate ? 1 : 0, dx, inputs)
        } else {
            ragkit_gemm(
                false, false, rows, inputs, outputs, alpha, dy, outputs, weight.pointer, inputs,
                accumulate ? 1 : 0, dx, inputs)
        }
    }

    /// `dWeight = alpha · dyᵀ · x`, or that added to `dWeight`.
    func weightGradient(
        _ rows: Int, alpha: Float = 1, _ dy: UnsafePointer<Float>, _ x: UnsafePointer<Float>,
        _ dWeight: UnsafeMutablePointer<Float>, accumulate: Bool
    ) {
        let (outputs, inputs) = (weight.dim(0), weight.dim(1))
        count(rows)
        let multiply = precision == .bfloat16 ? ragkit_gemm_bfloat16 : ragkit_gemm
        multiply(
            true, false, outputs, inputs, rows, alpha, dy, outputs, x, inputs, accumulate ? 1 : 0,
            dWeight, inputs)
    }

    private func count(_ rows: Int) {
        profile?.add(operations: 2 * Double(rows) * Double(weight.count))
    }

    private func pack(_ rows: Int, transposed: Bool) -> WeightPack? {
        if precision == .float32, !isReused || rows > Self.mostRowsOfFloat32 { return nil }
        return weight.storage.pack(of: weight, transposed: transposed, precision)
    }
}
