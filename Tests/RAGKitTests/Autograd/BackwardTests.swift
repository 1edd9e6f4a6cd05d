import Testing

@testable import RAGKit

@Suite struct BackwardTests {
    private static let x = Tensor([2, -3], shape: [2])

    @Test func aValueUsedTwiceGetsTheSum() {
        let x = Self.x.variable()
        #expect(gradients(of: x + x, for: [x])[0].elements == [2, 2])
        #expect(gradients(of: x * x * x, for: [x])[0].elements == [12, 27])
    }

    /// Both ways around a diamond count, and the top is visited once, after both.
    @Test func diamonds() {
        let x = Self.x.variable()
        let top = x * 3
        let output = (top * top + top.squared()) * (top + 1)
        // 2 (3x)² (3x + 1), with the derivative 162 x² + 36 x.
        #expect(gradients(of: output, for: [x])[0].elements == [720, 1350])
        var chain = x
        for _ in 0..<40 { chain = chain + chain }  // 2⁴⁰ ways from the bottom to the top
        let ways: Float = 1_099_511_627_776
        #expect(gradients(of: chain, for: [x])[0].elements == [ways, ways])
    }

    /// `+` hands one gradient to both its inputs; adding to the one must not change the other.
    @Test func aGradientHandedToTwoInputsIsNotCorrupted() {
        let a = Self.x.variable()
        let b = Self.x.variable()
        let sum = a + b
        // `a` gets more afterwards, added in place.
        let output = sum + a * 10 + a.slice(0..<1).broadcast(to: [2]) * 100
        let found = gradients(of: output, for: [a, b])
        #expect(found[0].elements == [211, 11])
        #expect(found[1].elements == [1, 1])
    }

    @Test func reshapedGradientsShareNothingThatIsWritten() {
        let a = Self.x.variable()
        let viewed = a.reshaped([2, 1])
        let output = viewed + viewed.reshaped([2, 1]) + a.reshaped([2, 1]) * 5
        let found = gradients(of: output, for: [a], cotangent: Tensor([1, 10], shape: [2, 1]))
        #expect(found[0].elements == [7, 70])
    }

    @Test func theCallersCotangentStaysAsItWas() {
        let x = Self.x.variable()
        let cotangent = Tensor([1, 10], shape: [2])
        let found = gradients(of: x + x, for: [x], cotangent: cotangent)
        #expect(cotangent.elements == [1, 10] && found[0].elements == [2, 20])
        let same = gradients(of: x, for: [x], cotangent: cotangent)
        #expect(same[0].elements == [1, 10])
    }

    @Test func whatTheOutputDoesNotDependOnGetsZeros() {
        let (x, y) = (Self.x.variable(), Tensor.counting([2, 3]).variable())
        let found = gradients(of: x * 2, for: [y, x])
        #expect(found[0].shape == [2, 3] && found[0].elements.allSatisfy { $0 == 0 })
        #expect(found[1].elements == [2, 2])
        #expect(gradients(of: Self.x * 2, for: [x])[0].elements == [0, 0])
    }

    @Test func gradientsStopAtDetachedValues() {
        let x = Self.x.variable()
        let output = x * (x * x).detached
        #expect(gradients(of: output, for: [x])[0].elements == [4, 9])
    }

    @Test func aVariableOfARecordedValueIsANewLeaf() {
        let x = Self.x.variable()
        let inner = (x * 2).variable()
        let found = gradients(of: inner * inner, for: [inner, x])
        #expect(found[0].elements == [8, -12] && found[1].elements == [0, 0])
    }

    @Test func aKeptTapeCanBeWalkedAgain() {
        let x = Self.x.variable()
        let output = x.tanh() * x + x.softmax() * x.linear(Tensor.counting([2, 2]))
        let cotangent = Tensor([0.3, -1.2], shape: [2])
        let first = gradients(of: output, for: [x], cotangent: cotangent, retainingTape: true)[0]
        let second = gradients(of: output, for: [x], cotangent: cotangent, retainingTape: true)[0]
        let third = gradients(of: output, for: [x], cotangent: cotangent)[0]
        expectIdentical(second, first)
        expectIdentical(third, first)
    }

    @Test func walkingTwiceStopsWithASentence() async throws {
        let result = try #require(
            await #expect(processExitsWith: .failure, observing: [\.standardErrorContent]) {
                let x = Tensor([2, -3], shape: [2]).variable()
                let output = x.tanh().sum()
                _ = gradients(of: output, for: [x])
                _ = gradients(of: output, for: [x])
            })
        let message = String(decoding: result.standardErrorContent, as: UTF8.self)
        #expect(message.contains("this tape was walked before; pass retainingTape: true"))
    }

    /// A part shared by two outputs is used up by the first walk.
    @Test func aSharedPartIsUsedUpToo() async {
        await #expect(processExitsWith: .failure) {
            let x = Tensor([2, -3], shape: [2]).variable()
            let shared = x.tanh()
            let (first, second) = ((shared * 2).sum(), (shared * 3).sum())
            _ = gradients(of: first, for: [x])
            _ = gradients(of: second, for: [x])
        }
    }

    @Test func onlyALossMayBeWalkedForParameters() async {
        await #expect(processExitsWith: .failure) {
            let weight = Parameter([2], .ones)
            weight.update(.full([2], 1))
            _ = gradients(of: weight.tensor * 2, for: [weight])
        }
        await #expect(processExitsWith: .failure) {
            let x = Tensor([2, -3], shape: [2]).variable()
            _ = gradients(of: x * 2, for: [x], cotangent: .zeros([3]))
        }
        await #expect(processExitsWith: .failure) {
            let x = Tensor([2, -3], shape: [2]).variable()
            let y = x * 2
            _ = gradients(of: y * 2, for: [y])
        }
    }

    @Test func nothingIsRecordedWithoutGradients() {
        let x = Self.x.variable()
        let y = withoutGradients { x * x }
        #expect(!y.isRecorded && y.elements == [4, 9])
        #expect((x * x).isRecorded)
        struct Stop: Error {}
        #expect(throws: Stop.self) { try withoutGradients { throw Stop() } }
        #expect(ForwardContext.current.recordsTape)
        #expect(!(Self.x * 2).isRecorded)
    }
}
