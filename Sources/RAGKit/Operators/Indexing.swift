import RAGKitBLAS

extension Tensor {
    /// Rows picked by index: `[rows, width…]` → `[indices.count, width…]`. Indices may repeat.
    ///
    /// - Precondition: each index is a row of the receiver.
    public func rows(_ indices: [Int32]) -> Tensor { rows(indices, ignoringGradientOf: nil) }

    /// The same; `row`, if given, gets no gradient (an embedding's padding entry).
    func rows(_ indices: [Int32], ignoringGradientOf row: Int?) -> Tensor {
        precondition(rank >= 1, "rows: of a scalar")
        check(indices, below: shape[0], "rows")
        let shape = self.shape
        let width = shape.dropFirst().reduce(1, *)
        let value = Tensor(shape: [indices.count] + shape.dropFirst()) {
            ragkit_gather_rows(indices.count, width, indices, pointer, $0)
        }
        return .record("rows", [self], value: value) { gradient, sink in
            sink.accumulate(into: 0) { buffer, accumulate in
                if !accumulate { ragkit_fill(shape.product, 0, buffer) }
                Self.scatterAdd(gradient, to: indices, ignoring: row, rows: shape[0], width, buffer)
            }
        }
    }

    /// Adds row `i` of `values` to row `indices[i]` of `buffer`, except to row `ignored`.
    static func scatterAdd(
        _ values: Tensor, to indices: [Int32], ignoring ignored: Int?, rows: Int, _ width: Int,
        scale: Float = 1, _ buffer: UnsafeMutablePointer<Float>
    ) {
        guard let ignored, indices.contains(Int32(ignored)) else {
            return ragkit_scatter_add_rows(
                indices.count, width, rows, indices, scale, values.pointer, buffer)
        }
        let kept = indices.indices.filter { indices[$0] != Int32(ignored) }
        let keptRows = values.viewed(as: [indices.count, width]).rows(kept.map { Int32($0) })
        ragkit_scatter_add_rows(
            kept.count, width, rows, kept.map { indices[$0] }, scale, keptRows.pointer, buffer)
    }

    /// One element of each row: `[rows, width]` → `[rows]`, element `indices[row]`.
    ///
    /// - Precondition: one index for each row, each below `width`.
    public func elements(at indices: [Int32]) -> Tensor {
        let (rows, width) = (shape.rowCount, dim(-1))
        precondition(
            indices.count == rows, "elements(at:): \(indices.count) indices for \(rows) rows")
        check(indices, below: width, "elements(at:)")
        let shape = self.shape
        let value = Tensor(shape: shape.dropLast() + []) { result in
            for row in 0..<rows { result[row] = pointer[row * width + Int(indices[row])] }
        }
        return .record("elements(at:)", [self], value: value) { gradient, sink in
            sink.accumulate(into: 0) { buffer, accumulate in
                if !accumulate { ragkit_fill(shape.product, 0, buffer) }
                for row in 0..<rows {
                    buffer[row * width + Int(indices[row])] += gradient.pointer[row]
                }
            }
        }
    }

    /// The mean of each segment's rows: `[rows, width]` → `[segments, width]`.
    ///
    /// - Parameter offsets: where each segment begins, and at last the number of rows. An empty
    ///   segment gives zeros.
    public func segmentMeans(offsets: [Int]) -> Tensor {
        precondition(
            rank == 2 && offsets.first == 0 && offsets.last == shape[0],
            "segmentMeans: offsets \(offsets.last ?? -1) do not cover a tensor of shape \(shape)")
        let (segments, shape) = (offsets.count - 1, self.shape)
        let value = Tensor(shape: [segments, shape[1]]) {
            ragkit_segment_mean(segments, shape[1], offsets, pointer, $0)
        }
        return .record("segmentMeans", self, value: value) { gradient in
            [
                Tensor(shape: shape) {
                    ragkit_segment_mean_gradient(segments, shape[1], offsets, gradient.pointer, $0)
                }
            ]
        }
    }
}

extension Tensor {
    /// The sum of each segment's rows: `[rows, width]` → `[segments, width]`.
    ///
    /// - Parameter offsets: where each segment begins, and at last the number of rows. An empty
    ///   segment gives zeros.
    public func segmentSums(offsets: [Int]) -> Tensor {
        let lengths = zip(offsets.dropFirst(), offsets).map { Float($0 - $1) }
        return segmentMeans(offsets: offsets) * Tensor(lengths, shape: [lengths.count, 1])
    }
}

/// Stops at an index out of range, before it becomes an address.
func check(_ indices: [Int32], below limit: Int, _ caller: String) {
    for index in indices where index < 0 || Int(index) >= limit {
        preconditionFailure("\(caller): index \(index) is not below \(limit)")
    }
}
