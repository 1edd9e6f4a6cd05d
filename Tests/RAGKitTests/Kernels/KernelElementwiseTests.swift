import Foundation
import RAGKitBLAS
import Testing

private func value(_ function: Int, _ x: Double) -> Double {
    switch function {
    case RAGKIT_RELU: x <= 0 ? 0 : x
    case RAGKIT_GELU: x * 0.5 * erfc(-x / 2.0.squareRoot())
    case RAGKIT_GELU_TANH:
        x * 0.5 * (1 + tanh((2 / Double.pi).squareRoot() * (x + 0.044715 * x * x * x)))
    case RAGKIT_SILU: x / (1 + exp(-x))
    case RAGKIT_TANH: tanh(x)
    case RAGKIT_SIGMOID: 1 / (1 + exp(-x))
    case RAGKIT_EXP: exp(x)
    case RAGKIT_LOG: log(x)
    case RAGKIT_SQRT: x.squareRoot()
    case RAGKIT_RSQRT: 1 / x.squareRoot()
    case RAGKIT_ABS: abs(x)
    case RAGKIT_SQUARE: x * x
    case RAGKIT_RECIPROCAL: 1 / x
    default: x
    }
}

private func derivative(_ function: Int, _ x: Double) -> Double {
    switch function {
    case RAGKIT_RELU: x <= 0 ? 0 : 1
    case RAGKIT_ABS: x > 0 ? 1 : x < 0 ? -1 : 0
    case RAGKIT_SQRT: 0.5 / x.squareRoot()
    case RAGKIT_RSQRT: -0.5 / (x * x.squareRoot())
    case RAGKIT_LOG: 1 / x
    case RAGKIT_RECIPROCAL: -1 / (x * x)
    default: (value(function, x + 1e-5) - value(function, x - 1e-5)) / 2e-5
    }
}

private let functions = 0...RAGKIT_RECIPROCAL
private let positive = [RAGKIT_LOG, RAGKIT_SQRT, RAGKIT_RSQRT]

private func mapped(_ function: Int, _ x: [Float]) -> [Float] {
    var y = [Float](repeating: 0, count: x.count)
    ragkit_map(x.count, Int32(function), x, &y)
    return y
}

extension KernelTests {
    @Suite(.serialized) struct Elementwise {
        @Test func binaryFunctions() {
            typealias Kernel = (
                Int, UnsafePointer<Float>?, UnsafePointer<Float>?, UnsafeMutablePointer<Float>?
            ) -> Void
            let kernels: [(Kernel, (Double, Double, Double) -> Double)] = [
                (ragkit_add, { a, b, _ in a + b }), (ragkit_subtract, { a, b, _ in a - b }),
                (ragkit_multiply, { a, b, _ in a * b }), (ragkit_divide, { a, b, _ in a / b }),
                (ragkit_multiply_add, { a, b, y in y + a * b }),
            ]
            atEachLevel { level in
                var random = TestRandom(1)
                for n in kernelSizes + [50_001] {
                    let a = random.floats(n), b = random.floats(n, 0.5, 2), start = random.floats(n)
                    for (i, (kernel, naive)) in kernels.enumerated() {
                        var y = start
                        kernel(n, a, b, &y)
                        let expected = (0..<n).map {
                            naive(Double(a[$0]), Double(b[$0]), Double(start[$0]))
                        }
                        expectClose(y, expected, "kernel \(i), \(n) elements, level \(level)")
                    }
                }
            }
        }

        @Test func scalarsRowsAndColumns() {
            atEachLevel { level in
                var random = TestRandom(2)
                for n in kernelSizes + [50_001] {
                    let x = random.floats(n)
                    var y = [Float](repeating: 9, count: n)
                    ragkit_affine(n, 2.5, -1, x, &y)
                    expectClose(y, x.map { 2.5 * Double($0) - 1 }, "affine \(n)")
                    let before = y
                    ragkit_axpy(n, 0.3, x, &y)
                    expectClose(
                        y, (0..<n).map { Double(before[$0]) + Double(Float(0.3)) * Double(x[$0]) },
                        "axpy \(n)")
                    ragkit_fill(n, 3, &y)
                    #expect(y.allSatisfy { $0 == 3 })
                }
                for (rows, width) in [(0, 5), (5, 0), (3, 1), (7, 17), (100, 33), (900, 100)] {
                    let x = random.floats(rows * width), row = random.floats(width),
                        column = random.floats(rows)
                    func check(
                        _ name: String, _ run: (inout [Float]) -> Void,
                        _ naive: (Int, Int) -> Double
                    ) {
                        var y = [Float](repeating: 9, count: rows * width)
                        run(&y)
                        let expected = (0..<rows * width).map { naive($0 / width, $0 % width) }
                        expectClose(y, expected, "\(name) \(rows)x\(width), level \(level)")
                    }
                    func at(_ r: Int, _ c: Int) -> Double { Double(x[r * width + c]) }
                    check("add row", { ragkit_add_row(rows, width, x, row, &$0) }) {
                        at($0, $1) + Double(row[$1])
                    }
                    check("multiply row", { ragkit_multiply_row(rows, width, x, row, &$0) }) {
                        at($0, $1) * Double(row[$1])
                    }
                    check("add column", { ragkit_add_column(rows, width, x, column, &$0) }) {
                        at($0, $1) + Double(column[$0])
                    }
                    check(
                        "multiply column", { ragkit_multiply_column(rows, width, x, column, &$0) }
                    ) {
                        at($0, $1) * Double(column[$0])
                    }
                }
            }
        }

        @Test(arguments: functions)
        func functionsOfOneVariable(function: Int) {
            atEachLevel { level in
                var random = TestRandom(3)
                let low: Float = positive.contains(function) ? 1e-6 : -12
                for n in kernelSizes + [30_001] {
                    let x = random.floats(n, low, 12), dy = random.floats(n)
                    expectClose(
                        mapped(function, x), x.map { value(function, Double($0)) }, relative: 2e-7,
                        absolute: 2e-7,
                        "function \(function), \(n) elements, level \(level)")
                    guard function != RAGKIT_RECIPROCAL || n < 1000 else { continue }
                    var dx = dy
                    ragkit_map_gradient(n, Int32(function), x, dx, &dx)
                    let expected = (0..<n).map {
                        derivative(function, Double(x[$0])) * Double(dy[$0])
                    }
                    expectClose(
                        dx, expected, relative: 2e-6, absolute: 1e-6,
                        "gradient of function \(function), \(n) elements, level \(level)")
                }
            }
        }

        @Test func exponentialOverTheWholeRange() {
            atEachLevel { level in
                let x = stride(from: Float(-110), through: 95, by: 0.0137).map { $0 }
                expectClose(
                    mapped(RAGKIT_EXP, x), x.map { exp(Double($0)) }, relative: 2e-7,
                    absolute: 1.5e-45, "level \(level)")
                let edges: [Float] = [
                    -.infinity, .infinity, .nan, 88.72283, 88.72285, -103.9, -104.1, 0, -0.0, 1e30,
                    -1e30,
                ]
                expectClose(
                    mapped(RAGKIT_EXP, edges), edges.map { Double(Float(exp(Double($0)))) },
                    relative: 2e-7, absolute: 1.5e-45)
            }
        }

        @Test func logarithmOverTheWholeRange() {
            atEachLevel { level in
                let x = stride(from: -44.8, through: 38.5, by: 0.0093).map { Float(pow(10, $0)) }
                expectClose(
                    mapped(RAGKIT_LOG, x), x.map { log(Double($0)) }, relative: 2e-7,
                    absolute: 2e-7, "level \(level)")
                let edges: [Float] = [
                    0, -0.0, .infinity, -.infinity, .nan, -1, 1, .leastNonzeroMagnitude,
                    .greatestFiniteMagnitude,
                ]
                expectClose(mapped(RAGKIT_LOG, edges), edges.map { log(Double($0)) })
            }
        }

        @Test(arguments: functions)
        func infinitiesAndNaN(function: Int) {
            atEachLevel { level in
                for x: Float in [.infinity, -.infinity, .nan, 1e30, -1e30, 200, -200, 0] {
                    let found = mapped(function, [x])[0]
                    var expected = Float(value(function, Double(x)))
                    // x³ overflows to infinity times zero in the naive form
                    if function == RAGKIT_SILU, x == -200 { expected = found }
                    let alike =
                        found.isNaN
                        ? expected.isNaN
                        : abs(found - expected) <= 2e-7 * abs(expected) || found == expected
                    #expect(
                        alike,
                        "function \(function) of \(x): \(found), expected \(expected), level \(level)"
                    )
                    var dx: [Float] = [1]
                    ragkit_map_gradient(1, Int32(function), [x], dx, &dx)
                    if abs(x) <= 1e30,
                        !(positive + [RAGKIT_RECIPROCAL, RAGKIT_EXP, RAGKIT_SQUARE]).contains(
                            function)
                    {
                        #expect(
                            dx[0].isFinite, "gradient of function \(function) at \(x): \(dx[0])")
                    }
                    if x.isNaN, function != RAGKIT_IDENTITY, function != RAGKIT_RELU {
                        #expect(dx[0].isNaN, "gradient of function \(function) at NaN: \(dx[0])")
                    }
                }
            }
        }

        @Test func conversions() {
            atEachLevel { level in
                let all = (0...UInt16.max).map { $0 }
                var y = [Float](repeating: 0, count: all.count)
                ragkit_from_bfloat16(all.count, all, &y)
                #expect(zip(all, y).allSatisfy { $1.bitPattern == UInt32($0) << 16 })
                ragkit_from_float16(all.count, all, &y)
                for (bits, found) in zip(all, y) {
                    let exponent = Int(bits >> 10) & 31, fraction = Double(bits & 1023)
                    var expected =
                        exponent == 0
                        ? fraction * 0x1p-24 : (1024 + fraction) * pow(2, Double(exponent - 25))
                    if exponent == 31 { expected = fraction == 0 ? .infinity : .nan }
                    if bits >= 0x8000 { expected = -expected }
                    let same =
                        expected.isNaN
                        ? found.isNaN
                        : Double(found) == expected && (found.sign == .minus) == (bits >= 0x8000)
                    if !same {
                        Issue.record("half \(bits): \(found), expected \(expected), level \(level)")
                    }
                }
                var random = TestRandom(5)
                let x =
                    (0..<10_007).map { _ in
                        Float(bitPattern: UInt32(truncatingIfNeeded: random.next()))
                    }
                    + [
                        .nan, .infinity, -.infinity, 0, -0.0, Float(bitPattern: 0x7fff_ffff),
                        1.00390625, 1.01171875,
                    ]
                var narrow = [UInt16](repeating: 0, count: x.count)
                ragkit_to_bfloat16(x.count, x, &narrow)
                for (value, half) in zip(x, narrow) {
                    let back = Float(bitPattern: UInt32(half) << 16)
                    if value.isNaN {
                        #expect(back.isNaN)
                    } else {
                        let lower = value.bitPattern & 0xffff, up = UInt16(value.bitPattern >> 16)
                        let roundUp = lower > 0x8000 || (lower == 0x8000 && up & 1 == 1)
                        #expect(half == up + (roundUp ? 1 : 0))
                    }
                }
            }
        }
    }
}
