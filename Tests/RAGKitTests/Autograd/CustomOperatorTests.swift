import Testing

@testable import RAGKit

private func cubed(_ x: Tensor) -> Tensor {
    let value = x.detached
    return .custom("cubed", [x], value: value * value * value) { [3 * value * value * $0] }
}

@Suite struct CustomOperatorTests {
    @Test(arguments: [[1], [7], [2, 3, 5], [0]], 0..<UInt64(3))
    func theExampleOfTheDocumentation(shape: [Int], seed: UInt64) {
        var generator = SeededGenerator(seed: seed)
        let x = Tensor.random(shape, using: &generator)
        expectMatches({ $0[0].map { $0 * $0 * $0 } }, { cubed($0[0]) }, at: [x], seed: seed)
        expectGradient(of: cubed, at: x, seed: seed)
        // The cube of a tanh bends more within a step.
        expectGradient(of: { cubed($0.tanh() * 2) }, at: x, seed: seed, tolerance: 5e-3)
    }

    @Test func severalInputsOfWhichSomeGetNothing() {
        let x = Tensor([2, 3], shape: [2]).variable()
        let y = Tensor([5, 7], shape: [2]).variable()
        let value = x.detached * y.detached
        let constantY = Tensor.custom("half", [x, y], value: value) { [$0 * 10, nil] }
        let found = gradients(of: constantY, for: [x, y])
        #expect(found[0].elements == [10, 10] && found[1].elements == [0, 0])
    }

    @Test func eachInputGetsItsOwnGradient() {
        let x = Tensor([2, 3], shape: [2]).variable()
        let y = Tensor([5], shape: [1]).variable()
        let value = x.detached * y.detached
        let product = Tensor.custom("product", [x, y], value: value) {
            [$0 * y.detached, $0 * x.detached]
        }
        let found = gradients(of: product, for: [x, y], cotangent: Tensor([1, 10], shape: [2]))
        #expect(found[0].elements == [5, 50] && found[1].elements == [32])
    }

    /// A gradient in the shape of what the input was repeated to is summed back.
    @Test func theEngineSumsWhatWasBroadcast() {
        let x = Tensor([2, 3], shape: [2]).variable()
        let value = x.detached.broadcast(to: [3, 2])
        let repeated = Tensor.custom("repeat", [x], value: value) { [$0] }
        #expect(gradients(of: repeated, for: [x])[0].elements == [3, 3])
    }

    @Test func theTapeOfTheValueIsDropped() {
        let x = Tensor([2, 3], shape: [2]).variable()
        let y = Tensor.custom("constant", [], value: x * x) { _ in [] }
        #expect(!y.isRecorded && y.elements == [4, 9])
        let z = Tensor.custom("tenfold", [x], value: x * x) { [$0 * 10] }
        #expect(gradients(of: z, for: [x])[0].elements == [10, 10])
    }

    @Test func withoutPullbackItStopsWithItsName() async throws {
        let result = try #require(
            await #expect(processExitsWith: .failure, observing: [\.standardErrorContent]) {
                let x = Tensor([1.2, 3.4], shape: [2]).variable()
                let y = Tensor.custom("rounded-down", [x * 2], value: x.detached, pullback: nil)
                _ = gradients(of: y * 3, for: [x])
            })
        let message = String(decoding: result.standardErrorContent, as: UTF8.self)
        #expect(message.contains("rounded-down has no gradient"))
    }

    @Test func withoutPullbackItMayBeUsedAsAConstant() {
        let x = Tensor([1.5, 3.5], shape: [2]).variable()
        let floor = Tensor.custom("floor", [x], value: Tensor([1, 3], shape: [2]), pullback: nil)
        #expect(gradients(of: x * floor.detached, for: [x])[0].elements == [1, 3])
    }

    @Test func theWrongNumberOfGradientsStops() async {
        await #expect(processExitsWith: .failure) {
            let x = Tensor([1, 2], shape: [2]).variable()
            let y = Tensor.custom("two", [x], value: x.detached) { [$0, $0] }
            _ = gradients(of: y, for: [x])
        }
    }

    @Test func aGradientOfTheWrongShapeStops() async {
        await #expect(processExitsWith: .failure) {
            let x = Tensor([1, 2], shape: [2]).variable()
            let y = Tensor.custom("odd", [x], value: x.detached) { _ in [.zeros([3])] }
            _ = gradients(of: y, for: [x])
        }
    }
}
