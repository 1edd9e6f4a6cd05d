import RAGKitBLAS

extension Tensor {
    /// Sets the elements that `mask` names to zero and scales up the others.
    ///
    /// Source: Srivastava et al. 2014; random bits: Philox 4x32-10, Salmon et al. 2011.
    public func dropout(_ mask: DropoutMask) -> Tensor {
        guard mask.rate > 0 else { return self }
        func apply(_ x: Tensor) -> Tensor {
            Tensor(shape: x.shape) { ragkit_apply_dropout(x.count, mask.kernel, 0, x.pointer, $0) }
        }
        return .record("dropout", self, value: apply(self)) { [apply($0)] }
    }
}
