import RAGKitBLAS

extension Tensor {
    /// The sum of all elements, a scalar, added up in Double.
    public func sum() -> Tensor {
        let shape = self.shape
        let value = Tensor(Float(ragkit_sum(count, pointer)))
        return .record("sum", self, value: value) { [$0.broadcast(to: shape)] }
    }

    /// The mean of all elements, a scalar. Of no elements it is not a number.
    public func mean() -> Tensor { sum() / Float(count) }

    /// The sum along `axis`, which is left out of the result, or kept with size 1.
    public func sum(axis: Int, keepingDimension: Bool = false) -> Tensor {
        reduced("sum", axis, keepingDimension) { x in
            let value = Tensor(shape: x.shape.dropLast() + []) {
                ragkit_sum_columns(x.shape.rowCount, x.dim(-1), x.pointer, $0)
            }
            return .record("sum", x, value: value) { [width = x.dim(-1)] gradient in
                let column = gradient.viewed(as: gradient.shape + [1])
                return [column.broadcast(to: gradient.shape + [width])]
            }
        }
    }

    /// The mean along `axis`.
    public func mean(axis: Int, keepingDimension: Bool = false) -> Tensor {
        sum(axis: axis, keepingDimension: keepingDimension) / Float(dim(axis))
    }

    /// The logarithm of the summed exponentials along `axis`, without overflow.
    ///
    /// Of an empty row, or one that is all -∞, it is -∞.
    public func logSumExp(axis: Int, keepingDimension: Bool = false) -> Tensor {
        reduced("logSumExp", axis, keepingDimension) { x in
            let values = x.detached
            let value = Tensor(shape: x.shape.dropLast() + []) {
                ragkit_log_sum_exp(x.shape.rowCount, x.dim(-1), x.pointer, $0)
            }
            return .record("logSumExp", x, value: value) { gradient in
                [values.softmax() * gradient.viewed(as: gradient.shape + [1])]
            }
        }
    }

    /// The largest element along the last dimension.
    ///
    /// The gradient goes to the first position of the maximum.
    ///
    /// - Precondition: the last dimension is not empty.
    public func max() -> Tensor { elements(at: maxIndices()) }

    /// The first position of the largest element along the last dimension; not a number wins.
    ///
    /// - Returns: one index for each row.
    public func maxIndices() -> [Int32] {
        precondition(dim(-1) > 0, "maxIndices: rows of \(shape) are empty")
        let rows = shape.rowCount
        return [Int32](unsafeUninitializedCapacity: rows) { indices, count in
            let values = TensorStorage(count: rows)
            ragkit_max_columns(rows, dim(-1), pointer, values.pointer, indices.baseAddress)
            count = rows
        }
    }

    /// Rows of softmax over the last dimension. A row that is all -∞ gives zeros.
    public func softmax() -> Tensor {
        let value = Tensor(shape: shape) {
            ragkit_softmax(shape.rowCount, shape.last ?? 1, pointer, $0)
        }
        return .record("softmax", self, value: value) { gradient in
            [
                Tensor(shape: value.shape) {
                    ragkit_softmax_gradient(
                        value.shape.rowCount, value.shape.last ?? 1, value.pointer,
                        gradient.pointer, $0)
                }
            ]
        }
    }

    /// Rows of the logarithm of softmax over the last dimension, without overflow.
    public func logSoftmax() -> Tensor {
        let value = Tensor(shape: shape) {
            ragkit_log_softmax(shape.rowCount, shape.last ?? 1, pointer, $0)
        }
        return .record("logSoftmax", self, value: value) { gradient in
            [
                Tensor(shape: value.shape) {
                    ragkit_log_softmax_gradient(
                        value.shape.rowCount, value.shape.last ?? 1, value.pointer,
                        gradient.pointer, $0)
                }
            ]
        }
    }

    /// Moves `axis` to the end, reduces the rows, and puts a dimension of 1 in its place if asked.
    private func reduced(
        _ name: String, _ axis: Int, _ keepingDimension: Bool, _ reduce: (Tensor) -> Tensor
    ) -> Tensor {
        let axis = resolved(axis)
        let last = axis == rank - 1 ? self : movingAxis(axis, to: rank - 1)
        let result = reduce(last)
        guard keepingDimension else { return result }
        var kept = shape
        kept[axis] = 1
        return result.reshaped(kept)
    }
}
