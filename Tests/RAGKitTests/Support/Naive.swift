import Foundation

/// Plain loops in Double, written for reading, that the operators are compared with.
enum Naive {
    /// The rows of a matrix.
    static func rows(_ x: [Double], width: Int) -> [[Double]] {
        guard width > 0 else { return [] }
        return stride(from: 0, to: x.count, by: width).map { Array(x[$0..<$0 + width]) }
    }

    static func dot(_ a: some Collection<Double>, _ b: some Collection<Double>) -> Double {
        zip(a, b).reduce(0) { $0 + $1.0 * $1.1 }
    }

    static func logSumExp(_ row: [Double]) -> Double {
        guard let top = row.max(), top > -.infinity else { return -.infinity }
        return top + log(row.reduce(0) { $0 + exp($1 - top) })
    }

    static func logSoftmax(_ row: [Double]) -> [Double] {
        guard let top = row.max(), top > -.infinity else { return row }
        let sum = log(row.reduce(0) { $0 + exp($1 - top) })
        return row.map { $0 - top - sum }
    }

    /// A row without any finite element gives zeros.
    static func softmax(_ row: [Double]) -> [Double] { logSoftmax(row).map { exp($0) } }

    /// The product of `[m, k]` and `[k, n]`, each given transposed if so named.
    static func matmul(
        _ a: [Double], _ b: [Double], m: Int, k: Int, n: Int, transposed: Bool = false,
        otherTransposed: Bool = false
    ) -> [Double] {
        (0..<m).flatMap { i in
            (0..<n).map { j in
                (0..<k).reduce(0) { sum, inner in
                    sum + (transposed ? a[inner * m + i] : a[i * k + inner])
                        * (otherTransposed ? b[j * k + inner] : b[inner * n + j])
                }
            }
        }
    }

    static func layerNorm(
        _ row: [Double], gain: [Double], bias: [Double], epsilon: Double
    ) -> [Double] {
        let mean = row.reduce(0, +) / Double(row.count)
        let variance = row.reduce(0) { $0 + ($1 - mean) * ($1 - mean) } / Double(row.count)
        return row.indices.map {
            (row[$0] - mean) / (variance + epsilon).squareRoot() * gain[$0] + bias[$0]
        }
    }

    static func rmsNorm(_ row: [Double], gain: [Double], epsilon: Double) -> [Double] {
        let meanSquare = row.reduce(0) { $0 + $1 * $1 } / Double(row.count)
        return row.indices.map { row[$0] / (meanSquare + epsilon).squareRoot() * gain[$0] }
    }

    static func gelu(_ x: Double) -> Double { 0.5 * x * (1 + erf(x / 2.0.squareRoot())) }

    static func geluTanh(_ x: Double) -> Double {
        0.5 * x * (1 + tanh((2 / Double.pi).squareRoot() * (x + 0.044715 * x * x * x)))
    }

    static func sigmoid(_ x: Double) -> Double { 1 / (1 + exp(-x)) }

    /// `x` with `axis` moved behind all others: the runs along `axis`, in order.
    static func runs(_ x: [Double], shape: [Int], axis: Int) -> [[Double]] {
        let inner = shape[(axis + 1)...].reduce(1, *)
        let outer = shape[..<axis].reduce(1, *)
        return (0..<outer).flatMap { o in
            (0..<inner).map { i in
                (0..<shape[axis]).map { x[(o * shape[axis] + $0) * inner + i] }
            }
        }
    }
}
