import Testing

@testable import RAGKit

@Suite struct ParameterTests {
    @Test func everyChangeRaisesTheVersion() {
        let parameter = Parameter([2], .ones)
        #expect(!parameter.isFilled)
        var generator = SeededGenerator(seed: 1)
        parameter.initialize(using: &generator)
        #expect(parameter.value.elements == [1, 1])
        parameter.update(Tensor([3, 4], shape: [2]))
        parameter.update { $0[1] = 5 }
        #expect(parameter.value.elements == [3, 5])
    }

    @Test func changesInPlaceKeepTheStorage() {
        let parameter = Parameter([2], .ones)
        parameter.update(.zeros([2]))
        let address = parameter.value.pointer
        parameter.update { $0[0] = 1 }
        #expect(parameter.value.pointer == address)
        let held = parameter.value
        parameter.update { $0[0] = 2 }
        #expect(held.elements == [1, 0] && parameter.value.elements == [2, 0])
        #expect(parameter.value.pointer != address)
    }

    @Test func initializationRules() {
        var generator = SeededGenerator(seed: 2)
        func filled(_ rule: Parameter.Initialization, zeroRow: Int? = nil) -> [Double] {
            let parameter = Parameter([100, 50], rule, zeroRow: zeroRow)
            parameter.initialize(using: &generator)
            return parameter.value.doubles
        }
        #expect(filled(.zeros).allSatisfy { $0 == 0 } && filled(.ones).allSatisfy { $0 == 1 })
        #expect(filled(.constant(-2.5)).allSatisfy { $0 == -2.5 })
        let normal = filled(.normal(standardDeviation: 0.02))
        let deviation = (normal.reduce(0) { $0 + $1 * $1 } / 5000).squareRoot()
        #expect(abs(deviation - 0.02) < 0.001)
        let padded = filled(.normal(standardDeviation: 0.02), zeroRow: 99)
        #expect(padded.suffix(50).allSatisfy { $0 == 0 })
        #expect(padded.prefix(4950).allSatisfy { $0 != 0 })
    }

    @Test func onlyTrainableParametersAreRecorded() {
        let parameter = Parameter([1], .ones)
        parameter.update(.full([1], 3))
        #expect(parameter.tensor.isRecorded && !parameter.value.isRecorded)
        #expect(!withoutGradients { parameter.tensor.isRecorded })
        parameter.isTrainable = false
        #expect(!parameter.tensor.isRecorded)
    }

    @Test func buffersAreNeverTrained() {
        let buffer = Parameter([1], .ones, isBuffer: true)
        #expect(!buffer.isTrainable)
        buffer.isTrainable = true
        #expect(!buffer.isTrainable)
    }

    @Test func updatesDropTheTape() {
        let (a, b) = (Parameter([1], .ones), Parameter([1], .ones))
        a.update(.full([1], 3))
        b.update(a.tensor * 2)
        #expect(!b.value.isRecorded && b.value.elements == [6])
    }

    @Test func misuseStops() async {
        await #expect(processExitsWith: .failure) { _ = Parameter([1], .ones).value }
        await #expect(processExitsWith: .failure) { Parameter([1], .ones).update(.zeros([2])) }
    }
}
