import RAGKitBLAS

extension Tensor {
    /// Applies `activation` to each element.
    ///
    /// - Returns: a tensor of the receiver's shape.
    /// - Complexity: O(`count`).
    public func activated(_ activation: Activation) -> Tensor {
        mapped("\(activation)", activation.kernel)
    }

    /// The Gaussian error linear unit in its exact form, `x · Φ(x)`, of each element.
    ///
    /// Source: Hendrycks & Gimpel 2016, arXiv:1606.08415, section 2.
    public func gelu() -> Tensor { activated(.gelu) }

    public func relu() -> Tensor { activated(.relu) }
    public func tanh() -> Tensor { activated(.tanh) }
    public func sigmoid() -> Tensor { activated(.sigmoid) }
    public func exp() -> Tensor { mapped("exp", Int32(RAGKIT_EXP)) }
    public func log() -> Tensor { mapped("log", Int32(RAGKIT_LOG)) }
    public func squareRoot() -> Tensor { mapped("squareRoot", Int32(RAGKIT_SQRT)) }
    /// `1 / √x`.
    public func reciprocalSquareRoot() -> Tensor {
        mapped("reciprocalSquareRoot", Int32(RAGKIT_RSQRT))
    }
    /// The absolute value; its gradient at 0 is 0.
    public func magnitude() -> Tensor { mapped("magnitude", Int32(RAGKIT_ABS)) }
    public func squared() -> Tensor { mapped("squared", Int32(RAGKIT_SQUARE)) }

    private func mapped(_ name: String, _ function: Int32) -> Tensor {
        let x = detached  // the pullback keeps values, never the graph that made them
        let value = Tensor(shape: shape) { ragkit_map(count, function, x.pointer, $0) }
        return .record(name, self, value: value) { gradient in
            [
                Tensor(shape: x.shape) {
                    ragkit_map_gradient(x.count, function, x.pointer, gradient.pointer, $0)
                }
            ]
        }
    }
}
