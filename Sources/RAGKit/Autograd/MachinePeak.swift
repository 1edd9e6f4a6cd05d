import RAGKitBLAS

/// The best rates at which this machine multiplies and reads, as measured.
public struct MachinePeak: Sendable, Equatable {
    /// Additions and multiplications in a second, in units of 10⁹: a large Float32 product.
    public var gflops: Double
    /// Bytes in a second, in units of 10⁹: reading two long vectors and writing one.
    public var gigabytes: Double

    public init(gflops: Double, gigabytes: Double) {
        self.gflops = gflops
        self.gigabytes = gigabytes
    }

    /// Measures both, in about a second.
    public static func measured() -> MachinePeak {
        func best(_ body: () -> Void) -> Double {
            (0..<5).map { _ in ContinuousClock().measure(body) / .seconds(1) }.min() ?? .infinity
        }
        let size = 1536
        let a = Tensor.full([size, size], 1)
        let product = Tensor(shape: [size, size]) { _ in }
        let multiplying = best {
            ragkit_gemm(
                false, true, size, size, size, 1, a.pointer, size, a.pointer, size, 0,
                product.writablePointer, size)
        }
        let count = 16 << 20
        let x = Tensor.full([count], 1)
        let y = Tensor.full([count], 1)
        let reading = best { ragkit_axpy(count, 0.5, x.pointer, y.writablePointer) }
        return MachinePeak(
            gflops: 2e-9 * Double(size * size * size) / multiplying,
            gigabytes: 12e-9 * Double(count) / reading)
    }
}
