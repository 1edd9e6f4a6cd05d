import RAGKitBLAS

extension Tensor {
    /// The matrix product `[m, k] × [k, n]` → `[m, n]`, or of as many pairs of matrices as the
    /// first dimension counts: `[b, m, k] × [b, k, n]` → `[b, m, n]`.
    ///
    /// - Parameters:
    ///   - transposed: take the receiver's matrices as `[k, m]`.
    ///   - otherTransposed: take the other's as `[n, k]`.
    public func matmul(
        _ other: Tensor, transposed: Bool = false, otherTransposed: Bool = false
    ) -> Tensor {
        let (a, b) = (detached, other.detached)
        precondition(
            (rank == 2 || rank == 3) && rank == other.rank && (rank == 2 || dim(0) == other.dim(0)),
            "matmul: shapes \(shape) and \(other.shape) are no matrices, or batches of one size")
        let (m, k) = transposed ? (dim(-1), dim(-2)) : (dim(-2), dim(-1))
        let (otherK, n) =
            otherTransposed ? (other.dim(-1), other.dim(-2)) : (other.dim(-2), other.dim(-1))
        precondition(k == otherK, "matmul: inner sizes differ, \(shape) × \(other.shape)")
        let batch = rank == 3 ? dim(0) : 1
        Profile.current?.add(operations: 2 * Double(batch * m) * Double(n * k))
        let value = Tensor(shape: shape.dropLast(2) + [m, n]) { result in
            ragkit_gemm_batched(
                batch, transposed, otherTransposed, m, n, k, 1, a.pointer, a.dim(-1), m * k,
                b.pointer, b.dim(-1), k * n, 0, result, n, m * n)
        }
        return .record("matmul", [self, other], value: value) { gradient, sink in
            // C = op(A) op(B): dA = dC op(B)ᵀ and dB = op(A)ᵀ dC, each transposed where A or B was.
            sink.add(
                transposed
                    ? b.matmul(gradient, transposed: otherTransposed, otherTransposed: true)
                    : gradient.matmul(b, otherTransposed: !otherTransposed),
                to: 0)
            sink.add(
                otherTransposed
                    ? gradient.matmul(a, transposed: true, otherTransposed: transposed)
                    : a.matmul(gradient, transposed: !transposed),
                to: 1)
        }
    }

    /// The inner product of each row with the other's row: `[…, width]` twice → `[…]`.
    public func dotRows(_ other: Tensor) -> Tensor {
        precondition(shape == other.shape, "dotRows: shapes \(shape) and \(other.shape) differ")
        let (a, b) = (detached, other.detached)
        let value = Tensor(shape: shape.dropLast() + []) {
            ragkit_dot_rows(shape.rowCount, dim(-1), a.pointer, b.pointer, $0)
        }
        return .record("dotRows", [self, other], value: value) { gradient, sink in
            let column = gradient.viewed(as: gradient.shape + [1])
            sink.add(b * column, to: 0)
            sink.add(a * column, to: 1)
        }
    }

    /// `activation(x · weightᵀ + bias)` in one go: `[…, inputs]` → `[…, outputs]`.
    ///
    /// - Parameters:
    ///   - weight: `[outputs, inputs]`.
    ///   - bias: `[outputs]`.
    public func linear(
        _ weight: Tensor, bias: Tensor? = nil, activation: Activation = .identity
    ) -> Tensor {
        precondition(
            rank >= 1 && weight.rank == 2 && dim(-1) == weight.dim(1),
            "linear: rows of \(shape) do not fit a weight of shape \(weight.shape)")
        precondition(
            bias.map { $0.shape == [weight.dim(0)] } ?? true,
            "linear: bias \(bias?.shape ?? []) for a weight of shape \(weight.shape)")
        let (x, b) = (detached, bias?.detached)
        let (rows, outputs) = (shape.rowCount, weight.dim(0))
        let products = WeightProduct(weight)
        let resultShape = Array(shape.dropLast()) + [outputs]
        // The activation's gradient needs what it was applied to; else one takes the other's place.
        let keepsSum = activation != .identity && ForwardContext.current.recordsTape
        let sum = keepsSum ? Tensor(shape: resultShape) { _ in } : nil
        let value = Tensor(shape: resultShape) { y in
            products.forward(
                rows, x.pointer, bias: b?.pointer, activation, pre: sum?.writablePointer ?? y, y)
        }
        let inputTensors = [self, weight] + (bias.map { [$0] } ?? [])
        return .record("linear", inputTensors, value: value) { gradient, sink in
            let inner =
                sum.map { sum in
                    Tensor(shape: gradient.shape) {
                        ragkit_map_gradient(
                            gradient.count, activation.kernel, sum.pointer, gradient.pointer, $0)
                    }
                } ?? gradient
            sink.accumulate(into: 0) { buffer, accumulate in
                products.backward(rows, inner.pointer, buffer, accumulate: accumulate)
            }
            sink.accumulate(into: 1) { buffer, accumulate in
                products.weightGradient(
                    rows, inner.pointer, x.pointer, buffer, accumulate: accumulate)
            }
            guard b != nil else { return }
            sink.accumulate(into: 2) { buffer, accumulate in
                ragkit_sum_rows(rows, outputs, inner.pointer, accumulate, buffer)
            }
        }
    }
}
