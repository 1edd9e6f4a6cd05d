import Foundation
import RAGKitBLAS
import Testing

extension KernelTests {
    @Suite(.serialized) struct Optimizer {
        /// The `number`th update, without decay.
        private static func step(_ number: Float, learningRate: Float) -> ragkit_adamw_step {
            var step = ragkit_adamw_step()
            step.learning_rate = learningRate
            step.beta1 = 0.9
            step.beta2 = 0.999
            step.epsilon = 1e-3
            step.bias_correction1 = 1 - pow(0.9, number)
            step.bias_correction2 = 1 - pow(0.999, number)
            step.gradient_scale = 1
            return step
        }

        @Test(arguments: [false, true])
        func adamW(transformers: Bool) {
            atEachLevel { level in
                var random = TestRandom(71)
                for n in kernelSizes + [30_011] {
                    let p = random.floats(n), g = random.floats(n), m = random.floats(n),
                        v = random.floats(n, 0, 1)
                    var step = Self.step(3, learningRate: 0.01)
                    step.weight_decay = 0.1
                    step.gradient_scale = 0.5
                    step.transformers_variant = transformers
                    var newP = p, newM = m, newV = v
                    ragkit_adamw(n, &step, g, &newP, &newM, &newV)
                    let b1 = Double(step.beta1), b2 = Double(step.beta2)
                    let lr = Double(step.learning_rate), decay = lr * Double(step.weight_decay)
                    let c1 = Double(step.bias_correction1), c2 = Double(step.bias_correction2)
                    let naiveM = (0..<n).map { b1 * Double(m[$0]) + (1 - b1) * 0.5 * Double(g[$0]) }
                    let naiveV = (0..<n).map {
                        b2 * Double(v[$0]) + (1 - b2) * pow(0.5 * Double(g[$0]), 2)
                    }
                    expectClose(newM, naiveM, "level \(level)")
                    expectClose(newV, naiveV)
                    expectClose(
                        newP,
                        (0..<n).map { i in
                            let e = Double(step.epsilon)
                            if transformers {
                                let update =
                                    lr * c2.squareRoot() / c1 * naiveM[i]
                                    / (naiveV[i].squareRoot() + e)
                                return (Double(p[i]) - update) * (1 - decay)
                            }
                            let update = lr * naiveM[i] / c1 / ((naiveV[i] / c2).squareRoot() + e)
                            return Double(p[i]) * (1 - decay) - update
                        }, relative: 1e-6, absolute: 1e-6)
                }
            }
        }

        /// Parameters as without packs, and packs as if made of the new parameters: every byte.
        @Test(arguments: [(1, 1), (31, 40), (64, 33), (97, 700), (700, 45)])
        func adamWWithPacks(rows: Int, columns: Int) {
            atEachLevel { level in
                var random = TestRandom(72)
                let n = rows * columns
                let p = random.floats(n), g = random.floats(n), m = random.floats(n),
                    v = random.floats(n, 0, 1)
                var step = Self.step(1, learningRate: 0.1)
                var expected = (p, m, v)
                ragkit_adamw(n, &step, g, &expected.0, &expected.1, &expected.2)
                let kinds = [RAGKIT_FLOAT32, RAGKIT_BFLOAT16].flatMap { format in
                    [(CInt(format), true), (CInt(format), false)]
                }
                func packs(_ b: [Float]) -> [UnsafeMutableRawBufferPointer] {
                    kinds.map { format, transposed in
                        let (k, n) = transposed ? (columns, rows) : (rows, columns)
                        let pack = UnsafeMutableRawBufferPointer.allocate(
                            byteCount: ragkit_pack_bytes(format, k, n), alignment: 64)
                        pack.initializeMemory(as: UInt8.self, repeating: 0)
                        ragkit_pack(format, transposed, k, n, b, columns, pack.baseAddress)
                        return pack
                    }
                }
                var found = (p, m, v)
                let made = packs(p), fresh = packs(expected.0), starts = made.map(\.baseAddress)
                defer { for pack in made + fresh { pack.deallocate() } }
                ragkit_adamw_packing(
                    rows, columns, &step, g, &found.0, &found.1, &found.2, starts.count, starts)
                #expect(found == expected, "level \(level)")
                for (kind, pair) in zip(kinds, zip(made, fresh)) {
                    #expect(pair.0.elementsEqual(pair.1), "level \(level), \(kind)")
                }
            }
        }
    }
}
