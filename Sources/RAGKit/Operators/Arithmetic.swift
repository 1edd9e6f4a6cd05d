import RAGKitBLAS

extension Tensor {
    /// The elementwise sum. A side with fewer or unit dimensions is repeated to fit the other.
    public static func + (lhs: Tensor, rhs: Tensor) -> Tensor {
        let value = elementwise(
            lhs, rhs, ragkit_add, row: ragkit_add_row, column: ragkit_add_column)
        return record("+", lhs, rhs, value: value) { [$0, $0] }
    }

    /// The elementwise difference, with the same rule for shapes as `+`.
    public static func - (lhs: Tensor, rhs: Tensor) -> Tensor {
        let value = elementwise(lhs, rhs, ragkit_subtract)
        return record("-", lhs, rhs, value: value) { [$0, -$0] }
    }

    /// The elementwise product, with the same rule for shapes as `+`.
    public static func * (lhs: Tensor, rhs: Tensor) -> Tensor {
        let (a, b) = (lhs.detached, rhs.detached)
        let value = elementwise(
            a, b, ragkit_multiply, row: ragkit_multiply_row, column: ragkit_multiply_column)
        return record("*", [lhs, rhs], value: value) { gradient, sink in
            sink.add(gradient * b, to: 0)
            sink.add(gradient * a, to: 1)
        }
    }

    /// The elementwise quotient, with the same rule for shapes as `+`.
    public static func / (lhs: Tensor, rhs: Tensor) -> Tensor {
        let (a, b) = (lhs.detached, rhs.detached)
        let value = elementwise(a, b, ragkit_divide)
        return record("/", [lhs, rhs], value: value) { gradient, sink in
            sink.add(gradient / b, to: 0)
            sink.add(-(gradient * a / (b * b)), to: 1)
        }
    }

    public static func + (lhs: Tensor, rhs: Float) -> Tensor { lhs.affine(scale: 1, offset: rhs) }
    public static func + (lhs: Float, rhs: Tensor) -> Tensor { rhs.affine(scale: 1, offset: lhs) }
    public static func - (lhs: Tensor, rhs: Float) -> Tensor { lhs.affine(scale: 1, offset: -rhs) }
    public static func - (lhs: Float, rhs: Tensor) -> Tensor { rhs.affine(scale: -1, offset: lhs) }
    public static func * (lhs: Tensor, rhs: Float) -> Tensor { lhs.affine(scale: rhs, offset: 0) }
    public static func * (lhs: Float, rhs: Tensor) -> Tensor { rhs.affine(scale: lhs, offset: 0) }
    public static func / (lhs: Tensor, rhs: Float) -> Tensor {
        lhs.affine(scale: 1 / rhs, offset: 0)
    }
    public static func / (lhs: Float, rhs: Tensor) -> Tensor { Tensor(lhs) / rhs }
    public static prefix func - (operand: Tensor) -> Tensor { operand.affine(scale: -1, offset: 0) }

    /// `scale · x + offset` for each element.
    func affine(scale: Float, offset: Float) -> Tensor {
        let value = Tensor(shape: shape) { ragkit_affine(count, scale, offset, pointer, $0) }
        return .record("affine", self, value: value) { [$0.affine(scale: scale, offset: 0)] }
    }

    /// The elements repeated to `target`, whose trailing dimensions fit the receiver's: equal, or
    /// the receiver's is 1.
    public func broadcast(to target: [Int]) -> Tensor {
        guard target != shape else { return self }
        precondition(canBroadcast(to: target), "broadcast: \(shape) does not fit \(target)")
        let strides = broadcastStrides(in: target)
        let value = Tensor(shape: target) { result in
            forEachRow(of: target, strides: strides) { row, start in
                let width = target.last ?? 1
                if strides.last == 0 {
                    (result + row * width).update(repeating: pointer[start], count: width)
                } else {
                    (result + row * width).update(from: pointer + start, count: width)
                }
            }
        }
        return .record("broadcast", self, value: value) { [$0] }  // the engine sums it back
    }

    /// The sum of what `broadcast(to:)` would have repeated: the way back to `target`.
    func summed(to target: [Int]) -> Tensor {
        guard target != shape else { return self }
        let narrow = Tensor.zeros(target)
        precondition(narrow.canBroadcast(to: shape), "sum: \(shape) does not fold into \(target)")
        if target.product == 1 {
            return Tensor([Float(ragkit_sum(count, pointer))], shape: target)
        }
        let width = shape.last ?? 1
        if target.product == width, target.last == width {
            return Tensor(shape: target) {
                ragkit_sum_rows(shape.rowCount, width, pointer, false, $0)
            }
        }
        let strides = narrow.broadcastStrides(in: shape)
        forEachRow(of: shape, strides: strides) { row, start in
            let source = pointer + row * width
            if strides.last == 0 {
                narrow.writablePointer[start] += Float(ragkit_sum(width, source))
            } else {
                ragkit_axpy(width, 1, source, narrow.writablePointer + start)
            }
        }
        return narrow
    }

    private func canBroadcast(to target: [Int]) -> Bool {
        rank <= target.count
            && zip(shape.reversed(), target.reversed()).allSatisfy { $0 == $1 || $0 == 1 }
    }

    /// The distance to move in the receiver for one step along each dimension of `target`.
    private func broadcastStrides(in target: [Int]) -> [Int] {
        var strides = [Int](repeating: 0, count: target.count)
        var stride = 1
        for (axis, size) in zip(target.indices.reversed(), shape.reversed()) {
            strides[axis] = size == 1 ? 0 : stride
            stride *= size
        }
        return strides
    }
}

/// Calls `body` for each row of `shape` with its number and the offset that `strides` give it.
private func forEachRow(of shape: [Int], strides: [Int], _ body: (Int, Int) -> Void) {
    for row in 0..<(shape.contains(0) ? 0 : shape.rowCount) {
        var (rest, start) = (row, 0)
        for axis in shape.indices.dropLast().reversed() {
            start += rest % shape[axis] * strides[axis]
            rest /= shape[axis]
        }
        body(row, start)
    }
}

private typealias Elementwise = (
    Int, UnsafePointer<Float>?, UnsafePointer<Float>?, UnsafeMutablePointer<Float>?
) -> Void
private typealias RowWise = (
    Int, Int, UnsafePointer<Float>?, UnsafePointer<Float>?, UnsafeMutablePointer<Float>?
) -> Void

/// One elementwise kernel for equal shapes, and for a row or a column beside a matrix where there
/// is one; other shapes are repeated first.
private func elementwise(
    _ lhs: Tensor, _ rhs: Tensor, _ kernel: Elementwise, row: RowWise? = nil,
    column: RowWise? = nil
) -> Tensor {
    let (a, b) = (lhs.detached, rhs.detached)
    if a.shape == b.shape {
        return Tensor(shape: a.shape) { kernel(a.count, a.pointer, b.pointer, $0) }
    }
    let width = a.shape.last ?? 1
    if let row, b.count == width, b.shape.last == width, b.rank <= a.rank {
        return Tensor(shape: a.shape) { row(a.shape.rowCount, width, a.pointer, b.pointer, $0) }
    }
    if let column, b.rank == a.rank, b.shape.last == 1, a.shape.dropLast() == b.shape.dropLast() {
        return Tensor(shape: a.shape) { column(a.shape.rowCount, width, a.pointer, b.pointer, $0) }
    }
    let shape = broadcastShape(a.shape, b.shape)
    let (wideA, wideB) = (a.broadcast(to: shape), b.broadcast(to: shape))
    return Tensor(shape: shape) { kernel(wideA.count, wideA.pointer, wideB.pointer, $0) }
}

private func broadcastShape(_ a: [Int], _ b: [Int]) -> [Int] {
    let rank = max(a.count, b.count)
    func padded(_ shape: [Int]) -> [Int] { Array(repeating: 1, count: rank - shape.count) + shape }
    return zip(padded(a), padded(b)).map { x, y in
        precondition(x == y || x == 1 || y == 1, "shapes \(a) and \(b) do not fit each other")
        return x == 1 ? y : x
    }
}
