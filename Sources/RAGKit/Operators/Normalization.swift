import RAGKitBLAS

extension Tensor {
    /// `normalized(residual + dropout(x)) · gain + bias` over the last dimension, in one pass.
    ///
    /// - Parameters:
    ///   - gain: `[width]`.
    ///   - bias: `[width]`.
    ///   - epsilon: added to the variance.
    ///   - residual: in the receiver's shape.
    /// - Returns: in the receiver's shape.
    ///
    /// Source: Ba, Kiros & Hinton 2016, arXiv:1607.06450.
    public func layerNorm(
        gain: Tensor, bias: Tensor, epsilon: Float, residual: Tensor? = nil,
        dropout: DropoutMask = .none
    ) -> Tensor {
        let (rows, width) = (shape.rowCount, dim(-1))
        precondition(
            gain.shape == [width] && bias.shape == [width]
                && residual.map { $0.shape == shape } ?? true,
            "layerNorm: gain \(gain.shape), bias \(bias.shape) or residual for rows of \(shape)")
        let (x, r, g, b) = (detached, residual?.detached, gain.detached, bias.detached)
        let sum = Tensor(shape: shape) { _ in }
        let (mean, scale) = (Tensor(shape: [rows]) { _ in }, Tensor(shape: [rows]) { _ in })
        let value = Tensor(shape: shape) { result in
            ragkit_layer_norm(
                rows, width, x.pointer, r?.pointer, dropout.kernel, g.pointer, b.pointer, epsilon,
                sum.writablePointer, result, mean.writablePointer, scale.writablePointer)
        }
        let inputs = [self, gain, bias] + (residual.map { [$0] } ?? [])
        return .record("layerNorm", inputs, value: value) { gradient, sink in
            let sumGradient = Tensor(shape: sum.shape) { _ in }
            let gains = Tensor(shape: [width]) { _ in }
            let biases = Tensor(shape: [width]) { _ in }
            let dropped = dropout.rate > 0 ? Tensor(shape: sum.shape) { _ in } : nil
            ragkit_layer_norm_gradient(
                rows, width, sum.pointer, mean.pointer, scale.pointer, g.pointer, gradient.pointer,
                dropout.kernel, sumGradient.writablePointer, dropped?.writablePointer, false,
                gains.writablePointer, biases.writablePointer)
            sink.add(dropped ?? sumGradient, to: 0)
            sink.add(gains, to: 1)
            sink.add(biases, to: 2)
            if r != nil { sink.add(sumGradient, to: 3) }
        }
    }

    /// `x / √(mean(x²) + ε) · gain` over the last dimension: no mean is taken off, no bias added.
    ///
    /// Source: Zhang & Sennrich 2019, arXiv:1910.07467; T5's norm.
    public func rmsNorm(gain: Tensor, epsilon: Float) -> Tensor {
        let (rows, width) = (shape.rowCount, dim(-1))
        precondition(gain.shape == [width], "rmsNorm: gain \(gain.shape) for rows of \(shape)")
        let (x, g) = (detached, gain.detached)
        let scale = Tensor(shape: [rows]) { _ in }
        let value = Tensor(shape: shape) { result in
            ragkit_rms_norm(
                rows, width, x.pointer, g.pointer, epsilon, result, scale.writablePointer)
        }
        return .record("rmsNorm", [self, gain], value: value) { gradient, sink in
            let gains = Tensor(shape: [width]) { _ in }
            let result = Tensor(shape: x.shape) {
                ragkit_rms_norm_gradient(
                    rows, width, x.pointer, scale.pointer, g.pointer, gradient.pointer, $0, false,
                    gains.writablePointer)
            }
            sink.add(result, to: 0)
            sink.add(gains, to: 1)
        }
    }

    /// Each row divided by its Euclidean norm, or by `epsilon` where the norm is smaller.
    public func l2Normalized(epsilon: Float = 1e-12) -> Tensor {
        let x = detached
        let norms = x.squared().sum(axis: -1, keepingDimension: true).squareRoot()
        let scale = Tensor(norms.elements.map { 1 / Swift.max($0, epsilon) }, shape: norms.shape)
        let value = x * scale
        return .record("l2Normalized", self, value: value) { gradient in
            // d/dx x/|x| = (1 - y yᵀ) / |x|; a row shorter than epsilon is only scaled.
            let along = (gradient * value).sum(axis: -1, keepingDimension: true)
            let isUnit = Tensor(norms.elements.map { $0 > epsilon ? 1 : 0 }, shape: norms.shape)
            return [(gradient - value * (along * isUnit)) * scale]
        }
    }
}
