import Foundation
import RAGKitBLAS
import Testing

@testable import RAGKit

/// Products with weights in other number formats, and the packs they read.
@Suite struct PrecisionTests {
    private func random(_ shape: [Int], _ seed: UInt64) -> Tensor {
        var numbers = SeededGenerator(seed: seed)
        return .randomNormal(shape, using: &numbers)
    }

    /// Operands rounded as the format says, multiplied in Double.
    private func naive(_ x: Tensor, _ weight: Tensor, _ precision: Precision) -> [Double] {
        let inputs = x.dim(1)
        func rounded(_ row: ArraySlice<Float>, isWeight: Bool) -> [Double] {
            switch precision {
            case .float32: return row.map { Double($0) }
            case .bfloat16:
                return row.map { value in
                    let bits = value.bitPattern
                    let nearest = bits &+ 0x7FFF &+ ((bits >> 16) & 1)
                    return Double(Float(bitPattern: nearest & 0xFFFF_0000))
                }
            case .int8:
                let paired = Int8Operand.isPaired(atLevel: ragkit_instruction_level())
                return Int8Operand.values(row, paired: isWeight && paired)
            }
        }
        func lines(_ elements: [Float], isWeight: Bool) -> [[Double]] {
            stride(from: 0, to: elements.count, by: inputs).map {
                rounded(elements[$0..<$0 + inputs], isWeight: isWeight)
            }
        }
        let left = lines(x.elements, isWeight: false),
            right = lines(weight.elements, isWeight: true)
        return left.flatMap { l in right.map { r in zip(l, r).reduce(0) { $0 + $1.0 * $1.1 } } }
    }

    private func expectNear(_ found: Tensor, _ expected: [Double], _ bound: Double) {
        let size = (expected.reduce(0) { $0 + $1 * $1 } / Double(expected.count)).squareRoot()
        for (a, b) in zip(found.doubles, expected) {
            #expect(abs(a - b) <= bound * size, "\(a), \(b)")
        }
    }

    @Test(arguments: Precision.allCases, [1, 3, 17, 300])
    func linearRoundsItsOperandsOnly(_ precision: Precision, rows: Int) {
        let (x, weight, bias) = (random([rows, 37], 1), random([29, 37], 2), random([29], 3))
        let found = ForwardContext.$scoped.withValue(.init(recordsTape: false)) {
            withPrecision(precision) { x.linear(weight, bias: bias) }
        }
        let shifts = bias.doubles
        let expected = naive(x, weight, precision).enumerated().map { $1 + shifts[$0 % 29] }
        expectNear(found, expected, 1e-5)
        let exact = naive(x, weight, .float32).enumerated().map { $1 + shifts[$0 % 29] }
        let off = zip(found.doubles, exact).map { abs($0 - $1) }.max() ?? 0
        switch precision {
        case .float32: #expect(off < 1e-4)
        default: #expect(off > 1e-4 && off < 0.5, "\(off)")
        }
    }

    /// Every path gives what the plain product gives: packed and not, forward and back, in chunks.
    @Test(arguments: [Precision.float32, .bfloat16])
    func gradientsAreThoseOfFloat32(_ precision: Precision) {
        func run(_ precision: Precision) -> [Tensor] {
            let (x, weight) = (random([90, 24], 4).variable(), random([31, 24], 5).variable())
            let head = random([9000, 31], 6).variable()
            let loss = withPrecision(precision) {
                VocabularyProjection(weight: head).logProbabilities(
                    x.linear(weight, activation: .gelu), targets: (0..<90).map { $0 * 97 }
                ).target.sum()
            }
            return [loss]
                + withPrecision(precision) {
                    gradients(of: loss, for: [x, weight, head])
                }
        }
        for (found, expected) in zip(run(precision), run(.float32)) {
            if precision == .float32 { expectNear(found, expected.doubles, 3e-5) }
            let (a, b) = (found.doubles, expected.doubles)
            func dot(_ x: [Double], _ y: [Double]) -> Double {
                zip(x, y).reduce(0) { $0 + $1.0 * $1.1 }
            }
            #expect(dot(a, b) / (dot(a, a) * dot(b, b)).squareRoot() > 0.999)
            #expect(abs(dot(a, a) / dot(b, b) - 1) < 0.01)
        }
    }

    /// A pack is of the values it was made of: after a change, products use the new ones.
    @Test(arguments: Precision.allCases)
    func changedWeightsArePackedAnew(_ precision: Precision) {
        let linear = Linear(8, 5, bias: false)
        linear.weight.update(random([5, 8], 7))
        let x = random([4, 8], 8)
        func product() -> Tensor {
            ForwardContext.$scoped.withValue(.init(recordsTape: false, precision: precision)) {
                linear(x)
            }
        }
        let before = product()
        let kept = linear.weight.value
        #expect(kept.storage.packCount == 1)
        #expect(product().elements == before.elements)
        #expect(kept.storage.packCount == 1, "made once")

        linear.weight.update { $0[3] += 1 }
        let after = product()
        #expect(after.elements != before.elements)
        expectNear(after, naive(x, linear.weight.value, precision), 1e-5)
        #expect(kept.storage.packCount == 1, "whoever holds the old value has its pack")
    }

    @Test func aPackGoesWithAChangeInPlace() {
        let weight = Parameter([5, 8], .ones)
        weight.update(random([5, 8], 9))
        let x = random([4, 8], 10)
        func product() -> [Float] {
            ForwardContext.$scoped.withValue(.inference) { x.linear(weight.value).elements }
        }
        let address = weight.value.pointer
        let before = product()
        weight.update { $0[0] += 1 }
        #expect(weight.value.pointer == address, "else this tests nothing")
        #expect(weight.value.storage.packCount == 0)
        #expect(product() != before)
    }

    /// Rows of one product do not depend on how many others there are.
    @Test(arguments: Precision.allCases)
    func rowsAreIndependent(_ precision: Precision) {
        let (x, weight) = (random([40, 70], 11), random([90, 70], 12))
        ForwardContext.$scoped.withValue(.init(recordsTape: false, precision: precision)) {
            let all = x.linear(weight)
            for row in [0, 7, 39] {
                let one = x.slice(row..<row + 1).linear(weight)
                #expect(one.elements == all.slice(row..<row + 1).elements)
            }
        }
    }

    /// Loss and gradients of whole RAG models, of either kind.
    @Test(arguments: [Marginalization.token, .sequence])
    func ragInBfloat16(_ kind: Marginalization) throws {
        func run(_ precision: Precision) throws -> (Double, [Float]) {
            let model = try TinyRag.model(kind)
            return try withPrecision(precision) {
                let loss = try TinyRag.loss(model)
                let all = gradients(of: loss.sum, for: model.parameters())
                return (
                    Double(loss.sum.item()), model.parameters().flatMap { all[$0]?.elements ?? [] }
                )
            }
        }
        let (exact, rounded) = (try run(.float32), try run(.bfloat16))
        #expect(abs(exact.0 - rounded.0) < 0.01 * abs(exact.0))
        #expect(exact.0 != rounded.0)
        func dot(_ x: [Float], _ y: [Float]) -> Double {
            zip(x, y).reduce(0) { $0 + Double($1.0) * Double($1.1) }
        }
        let cosine =
            dot(exact.1, rounded.1)
            / (dot(exact.1, exact.1) * dot(rounded.1, rounded.1)).squareRoot()
        #expect(cosine > 0.999, "\(cosine)")
    }

    /// What the trainer and the inference are told reaches the products.
    @Test func settingsReachTheProducts() async throws {
        func scores(_ precision: Precision) async throws -> [Float] {
            let inference = try TinyRag.model().inference(precision: precision)
            return try await inference.answer(TinyRag.questions, passages: TinyRag.found())
                .map(\.logProbability)
        }
        let exact = try await scores(.float32)
        for precision in [Precision.bfloat16, .int8] {
            let found = try await scores(precision)
            #expect(found != exact)
            for (a, b) in zip(found, exact) { #expect(abs(a - b) < 0.1 * abs(b) + 0.3) }
        }

        func losses(_ precision: Precision) async throws -> [Double] {
            var arguments = TrainingArguments()
            arguments.maxSteps = 2
            arguments.precision = precision
            let task = try RagTrainingTask(try TinyRag.model(), refresh: .blocking(every: 1))
            return try await Trainer(task, examples: TinyRag.examples, arguments: arguments).fit()
                .losses
        }
        let (full, half) = (try await losses(.float32), try await losses(.bfloat16))
        #expect(full != half)
        for (a, b) in zip(half, full) { #expect(abs(a - b) < 0.01 * b) }
    }

    @Test func int8CannotTrain() throws {
        var arguments = TrainingArguments()
        arguments.precision = .int8
        #expect(
            throws: TrainingError.invalidArgument(
                name: "precision", rule: "float32 or bfloat16: int8 has no gradient")
        ) {
            _ = try Trainer(
                RagTrainingTask(TinyRag.model()), examples: TinyRag.examples, arguments: arguments)
        }
    }

    @Test func int8WithATapeStops() async {
        await #expect(processExitsWith: .failure) {
            let weight = Tensor.full([2, 2], 1).variable()
            _ = withPrecision(.int8) { Tensor.full([1, 2], 1).linear(weight) }
        }
    }
}
