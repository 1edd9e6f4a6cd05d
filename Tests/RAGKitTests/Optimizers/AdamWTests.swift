import Foundation
import Testing

@testable import RAGKit

/// AdamW against the published update, element by element, in Double.
@Suite struct AdamWTests {
    /// The update as each implementation writes it.
    struct Reference {
        var variant: AdamW.Variant
        var (beta1, beta2, epsilon) = (0.9, 0.999, 1e-8)
        var (values, first, second): ([Double], [Double], [Double])
        var step = 0

        init(_ variant: AdamW.Variant, _ values: [Double]) {
            self.variant = variant
            self.values = values
            first = values.map { _ in 0 }
            second = first
        }

        mutating func update(_ gradient: [Double], rate: Double, decay: Double) {
            step += 1
            let c1 = 1 - pow(beta1, Double(step))
            let c2 = 1 - pow(beta2, Double(step))
            for i in values.indices {
                first[i] = beta1 * first[i] + (1 - beta1) * gradient[i]
                second[i] = beta2 * second[i] + (1 - beta2) * gradient[i] * gradient[i]
                switch variant {
                case .torch:
                    values[i] -= rate * decay * values[i]
                    values[i] -= rate * (first[i] / c1) / ((second[i] / c2).squareRoot() + epsilon)
                case .transformers:
                    values[i] -=
                        rate * c2.squareRoot() / c1 * first[i] / (second[i].squareRoot() + epsilon)
                    values[i] -= rate * decay * values[i]
                }
            }
        }
    }

    private static let shapes: [(String, [Int])] = [
        ("layer.dense.weight", [3, 37]), ("layer.dense.bias", [37]),
        ("layer.LayerNorm.weight", [37]), ("layer.layer_norm.weight", [5]),
    ]

    private static func parameters(_ numbers: inout SeededGenerator) -> [(String, Parameter)] {
        shapes.map { name, shape in
            let parameter = Parameter(shape, .ones)
            parameter.update(.randomNormal(shape, using: &numbers))
            return (name, parameter)
        }
    }

    private static func gradient(_ parameter: Parameter, _ value: Tensor) -> Gradients {
        gradients(of: (parameter.tensor * value).sum(), for: [parameter])
    }

    @Test(
        arguments: [AdamW.Variant.torch, .transformers],
        [
            AdamW.Decay.all, .weightsOnly, .excludingNames(["bias", "LayerNorm.weight"]),
        ])
    func tenSteps(variant: AdamW.Variant, decay: AdamW.Decay) {
        var numbers = SeededGenerator(seed: 4)
        let parameters = Self.parameters(&numbers)
        var settings = AdamW.Settings()
        settings.variant = variant
        settings.decay = decay
        settings.weightDecay = 0.1
        settings.beta1 = 0.8
        settings.beta2 = 0.99
        settings.epsilon = 1e-3
        let optimizer = AdamW(parameters, settings)
        var references = parameters.map { Reference(variant, $0.1.value.doubles) }
        let decayed: Set<Int> =
            switch decay {
            case .all: [0, 1, 2, 3]
            case .weightsOnly: [0]
            case .excludingNames: [0, 3]
            }
        for index in references.indices {
            (references[index].beta1, references[index].beta2) = (0.8, 0.99)
            references[index].epsilon = 1e-3
        }
        for step in 0..<10 {
            let rate = 0.05 / Double(step + 1)
            var all = Gradients()
            for (index, (_, parameter)) in parameters.enumerated() {
                let value = Tensor.randomNormal(parameter.shape, using: &numbers)
                all.add(Self.gradient(parameter, value))
                references[index].update(
                    value.doubles.map { 0.25 * $0 }, rate: rate,
                    decay: decayed.contains(index) ? 0.1 : 0)
            }
            optimizer.update(all, learningRate: rate, gradientScale: 0.25)
            for (reference, (name, parameter)) in zip(references, parameters) {
                expectClose(
                    parameter.value, reference.values, relative: 1e-5, ofRootMeanSquare: 1e-5,
                    "\(name), step \(step)")
            }
        }
        #expect(optimizer.step == 10)
    }

    /// The first word that a name contains decides; names without any keep the rate.
    @Test func rateFactors() {
        var numbers = SeededGenerator(seed: 6)
        let parameters = Self.parameters(&numbers)
        var settings = AdamW.Settings()
        settings.rateFactors = [
            .init("LayerNorm", 0), .init("layer.dense", 0.25), .init("bias", 9),
        ]
        let optimizer = AdamW(parameters, settings)
        var references = parameters.map { Reference(.torch, $0.1.value.doubles) }
        let factors = [0.25, 0.25, 0, 1]
        for _ in 0..<3 {
            var all = Gradients()
            for (index, (_, parameter)) in parameters.enumerated() {
                let value = Tensor.randomNormal(parameter.shape, using: &numbers)
                all.add(Self.gradient(parameter, value))
                references[index].update(value.doubles, rate: 0.02 * factors[index], decay: 0)
            }
            optimizer.update(all, learningRate: 0.02)
        }
        for (reference, (name, parameter)) in zip(references, parameters) {
            expectClose(
                parameter.value, reference.values, relative: 1e-5, ofRootMeanSquare: 1e-5, "\(name)"
            )
        }
    }

    /// Parameters without gradient and frozen ones stay, bit for bit; one whose first gradient comes
    /// late starts its own count, as in torch.
    @Test(arguments: [AdamW.Variant.torch, .transformers])
    func absentGradients(variant: AdamW.Variant) {
        var numbers = SeededGenerator(seed: 8)
        let parameters = Self.parameters(&numbers)
        var settings = AdamW.Settings()
        settings.variant = variant
        settings.weightDecay = 0.1
        settings.decay = .all
        let optimizer = AdamW(parameters, settings)
        let before = parameters.map { $0.1.value.copied() }
        parameters[1].1.isTrainable = true
        var reference = Reference(variant, before[1].doubles)
        var frozen = Gradients()
        frozen.add(Self.gradient(parameters[2].1, .full([37], 1)))
        parameters[2].1.isTrainable = false
        for step in 0..<6 {
            var all = Gradients()
            all.add(Self.gradient(parameters[0].1, .full([3, 37], 1)))
            all.add(frozen)
            if step >= 3 {
                let value = Tensor.randomNormal([37], using: &numbers)
                all.add(Self.gradient(parameters[1].1, value))
                reference.update(value.doubles, rate: 0.01, decay: 0.1)
            }
            optimizer.update(all, learningRate: 0.01)
            expectClose(parameters[1].1.value, reference.values, relative: 1e-5)
        }
        expectIdentical(parameters[2].1.value, before[2], "frozen")
        expectIdentical(parameters[3].1.value, before[3], "without gradient")
        #expect(parameters[0].1.value.elements != before[0].elements)
    }

    /// A snapshot taken before an update keeps its values.
    @Test func snapshotsKeepTheirValues() {
        let parameter = Parameter([4], .ones)
        parameter.update(Tensor([1, 2, 3, 4], shape: [4]))
        let copy = Parameter([4], .ones)
        copy.update(parameter.value)
        let optimizer = AdamW([("x", parameter)])
        optimizer.update(Self.gradient(parameter, .full([4], 1)), learningRate: 0.5)
        #expect(copy.value.elements == [1, 2, 3, 4])
        #expect(parameter.value.elements != [1, 2, 3, 4])
    }

    /// Packs of a weight are made anew in the update: products read the new values, forward and
    /// backward, and nothing is packed again. A snapshot's packs stay as they are.
    @Test func packsFollowTheWeight() {
        var numbers = SeededGenerator(seed: 9)
        let parameter = Parameter([70, 45], .ones)
        parameter.update(.randomNormal([70, 45], using: &numbers))
        let x = Tensor.randomNormal([5, 45], using: &numbers)
        let optimizer = AdamW([("x", parameter)])
        func both(_ weight: Tensor) -> (Tensor, Tensor) {
            withPrecision(.bfloat16) {
                let input = x.variable()
                let y = input.linear(weight.variable())
                return (y.detached, gradients(of: y.squared().sum(), for: [input])[0])
            }
        }
        _ = both(parameter.value)
        #expect(parameter.value.storage.packCount == 2)
        // Not the storage itself: a second holder would be a snapshot.
        let storage = ObjectIdentifier(parameter.value.storage)
        let gradient = Self.gradient(parameter, .randomNormal([70, 45], using: &numbers))
        optimizer.update(gradient, learningRate: 0.5)
        #expect(ObjectIdentifier(parameter.value.storage) == storage)
        #expect(parameter.value.storage.packCount == 2)
        let (y, dx) = both(parameter.value)
        let (expectedY, expectedDX) = both(parameter.value.copied())
        #expect(parameter.value.storage.packCount == 2)
        expectIdentical(y, expectedY)
        expectIdentical(dx, expectedDX)

        let copy = parameter.value
        optimizer.update(gradient, learningRate: 0.5)
        #expect(copy.storage.packCount == 2 && parameter.value.storage.packCount == 0)
        expectIdentical(both(copy).0, expectedY)
        #expect(both(parameter.value).0.elements != expectedY.elements)
    }

    /// A new optimizer with the state of another goes on with the same bits; the state is a copy.
    @Test(arguments: [AdamW.Variant.torch, .transformers])
    func itsStateGoesOn(variant: AdamW.Variant) throws {
        var numbers = SeededGenerator(seed: 12)
        var settings = AdamW.Settings()
        settings.variant = variant
        settings.weightDecay = 0.1
        let named = Self.parameters(&numbers)
        let optimizer = AdamW(named.map { (name: $0.0, parameter: $0.1) }, settings)
        let values = (0..<6).map { _ in
            Self.shapes.map { Tensor.randomNormal($0.1, using: &numbers) }
        }
        func step(_ optimizer: AdamW, _ parameters: [(String, Parameter)], _ number: Int) {
            // The last parameter has no gradient in the first steps, so that its count is its own.
            let used = number < 2 ? parameters.dropLast() : parameters[...]
            let sum = zip(used, values[number]).map { ($0.1.tensor * $1).sum() }
                .reduce(Tensor(0)) { $0 + $1 }
            optimizer.update(gradients(of: sum, for: used.map(\.1)), learningRate: 0.01)
        }
        for number in 0..<3 { step(optimizer, named, number) }
        let state = optimizer.state
        let copies = named.map { name, parameter in
            let copy = Parameter(parameter.shape, .zeros)
            copy.update(parameter.value.copied())
            return (name, copy)
        }
        for number in 3..<6 { step(optimizer, named, number) }
        #expect(state.counts["layer.layer_norm.weight.step"] == 1 && state.counts["step"] == 3)

        let other = AdamW(copies.map { (name: $0.0, parameter: $0.1) }, settings)
        try other.load(state)
        for number in 3..<6 { step(other, copies, number) }
        for (mine, theirs) in zip(copies, named) {
            #expect(mine.1.value.elements == theirs.1.value.elements, "\(mine.0)")
        }
        #expect(other.step == 6)
    }

    @Test func refusesAStateOfAnother() throws {
        var numbers = SeededGenerator(seed: 13)
        let named = Self.parameters(&numbers).map { (name: $0.0, parameter: $0.1) }
        let optimizer = AdamW(named)
        optimizer.update(
            Self.gradient(named[0].parameter, .full([3, 37], 1)), learningRate: 0.01)
        var state = optimizer.state
        state.tensors["layer.dense.weight.exp_avg"] = nil
        state.tensors["layer.dense.bias.exp_avg"] = .zeros([36])
        state.tensors["layer.dense.bias.exp_avg_sq"] = .zeros([37])
        state.counts["layer.dense.bias.step"] = 1
        state.counts["other.step"] = 1
        let expected = OptimizerError.doesNotFit(
            missing: ["layer.dense.weight.exp_avg"], unexpected: ["other.step"],
            wrongShape: ["layer.dense.bias.exp_avg"])
        #expect(throws: expected) { try optimizer.load(state) }
        #expect(optimizer.state.counts == ["step": 1, "layer.dense.weight.step": 1])
    }
}
