import Foundation
import Testing

@testable import RAGKit

private struct Function: Sendable, CustomTestStringConvertible {
    var name: String
    var apply: @Sendable (Tensor) -> Tensor
    var plain: @Sendable (Double) -> Double
    var isForPositive = false

    var testDescription: String { name }
}

private let functions: [Function] = [
    Function(name: "identity", apply: { $0.activated(.identity) }, plain: { $0 }),
    Function(name: "relu", apply: { $0.relu() }, plain: { max($0, 0) }),
    Function(name: "gelu", apply: { $0.gelu() }, plain: Naive.gelu),
    Function(name: "geluTanh", apply: { $0.activated(.geluTanh) }, plain: Naive.geluTanh),
    Function(name: "silu", apply: { $0.activated(.silu) }, plain: { $0 * Naive.sigmoid($0) }),
    Function(name: "tanh", apply: { $0.tanh() }, plain: { tanh($0) }),
    Function(name: "sigmoid", apply: { $0.sigmoid() }, plain: Naive.sigmoid),
    Function(name: "exp", apply: { $0.exp() }, plain: { exp($0) }),
    Function(name: "magnitude", apply: { $0.magnitude() }, plain: { abs($0) }),
    Function(name: "squared", apply: { $0.squared() }, plain: { $0 * $0 }),
    Function(name: "log", apply: { $0.log() }, plain: { log($0) }, isForPositive: true),
    Function(
        name: "squareRoot", apply: { $0.squareRoot() }, plain: { $0.squareRoot() },
        isForPositive: true),
    Function(
        name: "reciprocalSquareRoot", apply: { $0.reciprocalSquareRoot() },
        plain: { 1 / $0.squareRoot() }, isForPositive: true),
]

@Suite struct FunctionTests {
    @Test(arguments: functions, [[0], [1], [7], [2, 3, 5], [33], []])
    fileprivate func matchesThePlainFunction(function: Function, shape: [Int]) {
        var generator = SeededGenerator(seed: UInt64(shape.product))
        let x: Tensor =
            function.isForPositive
            ? .randomPositive(shape, using: &generator) : .random(shape, using: &generator)
        for seed in 0..<UInt64(3) {
            expectMatches(
                { $0[0].map(function.plain) }, { function.apply($0[0]) }, at: [x], seed: seed)
            // Roots and logarithms bend by up to 1e-3 within a step near 0.5.
            expectGradient(
                of: function.apply, at: x, seed: seed,
                tolerance: function.isForPositive ? 4e-3 : 1e-3)
        }
    }

    @Test(arguments: functions)
    fileprivate func staysCloseOverAWideRange(function: Function) {
        let xs = stride(from: function.isForPositive ? Float(0.01) : -12, through: 12, by: 0.037)
        let x = Tensor(Array(xs), shape: [Array(xs).count])
        // Beyond -6 the gelus fall below 1e-8, where only the absolute error counts.
        for (found, input) in zip(function.apply(x).doubles, x.doubles) {
            let expected = function.plain(input)
            #expect(abs(found - expected) <= 1e-6 * abs(expected) + 3e-7, "at \(input)")
        }
    }

    @Test func extremesStayFinite() {
        let x = Tensor([-1e30, -200, -90, 0, 90, 200, 1e30], shape: [7])
        for activation in [Activation.gelu, .geluTanh, .silu, .relu] {
            let variable = x.variable()
            let y = variable.activated(activation)
            #expect(y.elements.suffix(3) == x.elements.suffix(3), "\(activation)")
            #expect(y.elements.prefix(4).allSatisfy { abs($0) < 1e-30 }, "\(activation)")
            let slope = gradients(of: y, for: [variable])[0].elements
            #expect(slope.prefix(3).allSatisfy { abs($0) < 1e-30 }, "\(activation) \(slope)")
            #expect(slope.suffix(3) == [1, 1, 1], "\(activation)")
        }
        #expect(x.sigmoid().elements == [0, 0, x.sigmoid().elements[2], 0.5, 1, 1, 1])
        #expect(x.tanh().elements == [-1, -1, -1, 0, 1, 1, 1])
        #expect(Tensor(-200).exp().item() == 0 && Tensor(200).exp().item() == .infinity)
        #expect(Tensor(0).log().item() == -.infinity && Tensor(-1).log().item().isNaN)
    }

    @Test func magnitudeIsFlatAtZero() {
        let x = Tensor([0, 0], shape: [2]).variable()
        #expect(gradients(of: x.magnitude(), for: [x])[0].elements == [0, 0])
    }
}
