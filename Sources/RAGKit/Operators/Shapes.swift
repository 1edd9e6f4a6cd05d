import RAGKitBLAS

extension Tensor {
    /// The same elements in another shape, in the same order.
    ///
    /// - Precondition: the element counts are equal.
    public func reshaped(_ target: [Int]) -> Tensor {
        precondition(target.product == count, "reshaped: \(shape) has not the count of \(target)")
        let shape = self.shape
        return .record("reshaped", self, value: detached.viewed(as: target)) {
            [$0.viewed(as: shape)]
        }
    }

    /// A matrix with rows and columns exchanged: `[rows, columns]` → `[columns, rows]`.
    public func transposed() -> Tensor {
        precondition(rank == 2, "transposed: a matrix is needed, not shape \(shape)")
        let value = Tensor(shape: [shape[1], shape[0]]) {
            ragkit_transpose(shape[0], shape[1], pointer, $0)
        }
        return .record("transposed", self, value: value) { [$0.transposed()] }
    }

    /// The dimensions in the order `axes` names them.
    public func permuted(_ axes: [Int]) -> Tensor {
        let axes = axes.map(resolved)
        precondition(
            axes.sorted() == Array(0..<rank), "permuted: \(axes) is no order of \(rank) axes")
        var strides = [Int](repeating: 1, count: rank)
        for axis in (0..<Swift.max(rank - 1, 0)).reversed() {
            strides[axis] = strides[axis + 1] * shape[axis + 1]
        }
        let target = axes.map { shape[$0] }
        let moved = axes.map { strides[$0] }
        let source = detached
        let value = Tensor(shape: target) { result in
            var index = [Int](repeating: 0, count: target.count)
            var from = 0
            for position in 0..<target.product {
                result[position] = source.pointer[from]
                var axis = target.count - 1
                while axis >= 0 {
                    index[axis] += 1
                    from += moved[axis]
                    if index[axis] < target[axis] { break }
                    from -= target[axis] * moved[axis]
                    index[axis] = 0
                    axis -= 1
                }
            }
        }
        let inverse = axes.indices.map { axis in axes.firstIndex(of: axis) ?? axis }
        return .record("permuted", self, value: value) { [$0.permuted(inverse)] }
    }

    /// `axis` taken out and put in at `position`; the others keep their order.
    func movingAxis(_ axis: Int, to position: Int) -> Tensor {
        var axes = Array(0..<rank)
        axes.insert(axes.remove(at: axis), at: position)
        return permuted(axes)
    }

    /// Rows `range` of the first dimension, sharing storage.
    public func slice(_ range: Range<Int>) -> Tensor {
        precondition(
            rank > 0 && range.lowerBound >= 0 && range.upperBound <= shape[0],
            "slice: rows \(range) of a tensor of shape \(shape)")
        let shape = self.shape
        let width = shape.dropFirst().reduce(1, *)
        let target = [range.count] + shape.dropFirst()
        let value = detached.viewed(as: target, offset: range.lowerBound * width)
        return .record("slice", [self], value: value) { gradient, sink in
            sink.accumulate(into: 0) { buffer, accumulate in
                if !accumulate { ragkit_fill(shape.product, 0, buffer) }
                ragkit_axpy(gradient.count, 1, gradient.pointer, buffer + range.lowerBound * width)
            }
        }
    }

    /// The rows of all `tensors`, one after the other, along the first dimension.
    ///
    /// - Precondition: there is at least one, and all agree in the other dimensions.
    public static func concatenated(_ tensors: [Tensor]) -> Tensor {
        precondition(
            tensors.dropFirst().allSatisfy { $0.shape.dropFirst() == tensors[0].shape.dropFirst() },
            "concatenated: shapes \(tensors.map(\.shape)) differ behind the first dimension")
        let rows = tensors.map { $0.shape[0] }
        let shape = [rows.reduce(0, +)] + tensors[0].shape.dropFirst()
        let value = Tensor(shape: shape) { result in
            var next = result
            for tensor in tensors {
                next.update(from: tensor.pointer, count: tensor.count)
                next += tensor.count
            }
        }
        return .record("concatenated", tensors, value: value) { gradient, sink in
            var first = 0
            for (index, count) in rows.enumerated() {
                sink.add(gradient.slice(first..<first + count), to: index)
                first += count
            }
        }
    }
}
