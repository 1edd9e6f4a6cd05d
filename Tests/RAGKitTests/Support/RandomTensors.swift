@testable import RAGKit

extension Tensor {
    /// Elements near 1 or near -1: from 0.5 to 1.5 with a random sign, away from any kink at 0.
    static func random(_ shape: [Int], using generator: inout SeededGenerator) -> Tensor {
        let signs = (0..<shape.product).map { _ in Bool.random(using: &generator) }
        let sizes = randomPositive(shape, using: &generator).elements
        return Tensor(zip(signs, sizes).map { $0 ? $1 : -$1 }, shape: shape)
    }

    /// Elements from 0.5 to 1.5, for functions of positive numbers.
    static func randomPositive(_ shape: [Int], using generator: inout SeededGenerator) -> Tensor {
        randomUniform(shape, in: 0.5..<1.5, using: &generator)
    }

    /// A direction of length 1, each equally likely.
    static func randomDirection(_ shape: [Int], using generator: inout SeededGenerator) -> Tensor {
        let elements = (0..<shape.product).map { _ in generator.nextNormal() }
        let length = elements.reduce(0) { $0 + $1 * $1 }.squareRoot()
        return Tensor(elements.map { Float($0 / length) }, shape: shape)
    }

    /// `0, 1, 2, …`: every element tells where it was.
    static func counting(_ shape: [Int]) -> Tensor {
        Tensor((0..<shape.product).map { Float($0) }, shape: shape)
    }
}

extension SeededGenerator {
    /// `count` ids below `limit`.
    mutating func ids(_ count: Int, below limit: Int) -> [Int32] {
        (0..<count).map { _ in .random(in: 0..<Int32(limit), using: &self) }
    }
}
