import Testing

@testable import RAGKit

@Suite struct LayerTests {
    private static func initialized<Layer: Module>(_ layer: Layer) -> Layer {
        var generator = SeededGenerator(seed: 7)
        layer.initialize(using: &generator)
        return layer
    }

    @Test func linear() {
        let layer = Self.initialized(Linear(3, 5))
        var generator = SeededGenerator(seed: 1)
        layer.bias?.update(.random([5], using: &generator))
        let x = Tensor.random([4, 3], using: &generator)
        let product = Naive.matmul(
            x.doubles, layer.weight.value.doubles, m: 4, k: 3, n: 5, otherTransposed: true)
        let bias = layer.bias?.value.doubles ?? []
        let sums = product.indices.map { product[$0] + bias[$0 % 5] }
        expectClose(layer(x), sums)
        expectClose(layer(x, activation: .gelu), sums.map(Naive.gelu))
        #expect(Linear(3, 5, bias: false).parameters().count == 1)
        #expect(layer.parameters().map(\.shape) == [[5, 3], [5]])
    }

    @Test func embeddingIgnoresItsPadding() {
        let layer = Self.initialized(Embedding(4, 2, paddingID: 1))
        #expect(layer.weight.value.slice(1..<2).elements == [0, 0])
        layer.weight.update(Tensor.counting([4, 2]))
        #expect(layer([3, 1, 0]).elements == [6, 7, 2, 3, 0, 1])
        let found = gradients(of: layer([3, 1, 0, 3]).sum(), for: layer.parameters())
        #expect(found[layer.weight]?.elements == [1, 1, 0, 0, 0, 0, 2, 2])
    }

    @Test func layerNorm() {
        let layer = Self.initialized(LayerNorm(9, epsilon: 1e-3))
        #expect(layer.weight.value.elements.allSatisfy { $0 == 1 })
        #expect(layer.bias.value.elements.allSatisfy { $0 == 0 })
        var generator = SeededGenerator(seed: 2)
        for parameter in layer.parameters() { parameter.update(.random([9], using: &generator)) }
        let x = Tensor.random([4, 9], using: &generator)
        let residual = Tensor.random([4, 9], using: &generator)
        let rows = Naive.rows((x + residual).doubles, width: 9)
        expectClose(
            layer(x, residual: residual, dropout: Dropout(0.9)),
            rows.flatMap {
                Naive.layerNorm(
                    $0, gain: layer.weight.value.doubles, bias: layer.bias.value.doubles,
                    epsilon: 1e-3)
            })
    }

    @Test func rmsNorm() {
        #expect(RMSNorm(9).weight.initialization == .constant(1))
        let layer = Self.initialized(RMSNorm(9, epsilon: 1e-3, gain: 0.5))
        #expect(layer.weight.value.elements.allSatisfy { $0 == 0.5 })
        #expect(layer.parameters().count == 1)
        var generator = SeededGenerator(seed: 2)
        layer.weight.update(.random([9], using: &generator))
        let x = Tensor.random([4, 9], using: &generator)
        expectClose(
            layer(x),
            Naive.rows(x.doubles, width: 9).flatMap {
                Naive.rmsNorm($0, gain: layer.weight.value.doubles, epsilon: 1e-3)
            })
    }

    @Test func layerNormDropsOnlyItsInput() {
        let layer = Self.initialized(LayerNorm(64))
        let dropout = Dropout(0.5)
        let context = ForwardContext(isTraining: true, seed: 1)
        let found = ForwardContext.$scoped.withValue(context) {
            let x = Tensor.full([8, 64], 1).variable()
            let residual = Tensor.counting([8, 64]).variable()
            var generator = SeededGenerator(seed: 3)
            let y = layer(x, residual: residual, dropout: dropout)
            let cotangent = Tensor.random(y.shape, using: &generator)
            return gradients(of: y, for: [x, residual], cotangent: cotangent)
        }
        let zeros = found[0].elements.filter { $0 == 0 }.count
        #expect(abs(zeros - 256) < 60)
        for (dropped, kept) in zip(found[0].elements, found[1].elements) where dropped != 0 {
            #expect(abs(dropped - 2 * kept) <= 1e-6 * abs(dropped))
        }
    }

    @Test func dropoutIsOffOutsideTraining() {
        let dropout = Dropout(0.5)
        let x = Tensor.counting([20])
        #expect(dropout(x).storage === x.storage && dropout.mask().rate == 0)
        let context = ForwardContext(isTraining: true)
        ForwardContext.$scoped.withValue(context) {
            #expect(dropout(x).elements != x.elements && Dropout(0).mask().rate == 0)
        }
    }

    @Test func ratesOutOfRangeStop() async {
        await #expect(processExitsWith: .failure) { _ = Dropout(1) }
        await #expect(processExitsWith: .failure) { _ = Dropout(-0.1) }
        await #expect(processExitsWith: .failure) { _ = Dropout(.nan) }
    }
}
