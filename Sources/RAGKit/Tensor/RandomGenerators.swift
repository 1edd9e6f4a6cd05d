import Foundation

/// A small seeded generator (SplitMix64): the same seed gives the same numbers on every machine.
///
/// Used for initial weights, orders of examples and sampling. Dropout does not use it: its numbers
/// are a function of seed, stream, step and element (see `ForwardContext`).
///
/// Source: Steele, Lea & Flood 2014, "Fast splittable pseudorandom number generators".
public struct SeededGenerator: RandomNumberGenerator, Sendable, Codable, Equatable {
    private var state: UInt64

    public init(seed: UInt64) { state = seed }

    public mutating func next() -> UInt64 {
        state &+= 0x9E37_79B9_7F4A_7C15
        return Self.mixed(state)
    }

    /// SplitMix64's finalizer.
    static func mixed(_ value: UInt64) -> UInt64 { StableHash.mixed(value) }
}

extension RandomNumberGenerator {
    /// A number from the standard normal distribution (Box & Muller).
    mutating func nextNormal() -> Double {
        // 53 random bits as a number of 0..<1.
        let u = 1 - Double(next() >> 11) * 0x1p-53
        let v = Double(next() >> 11) * 0x1p-53
        return (-2 * log(u)).squareRoot() * cos(2 * .pi * v)
    }
}

extension Tensor {
    /// Elements from the normal distribution with the given mean and standard deviation.
    public static func randomNormal(
        _ shape: [Int], mean: Float = 0, standardDeviation: Float = 1,
        using generator: inout some RandomNumberGenerator
    ) -> Tensor {
        Tensor(shape: shape) { pointer in
            for i in 0..<shape.product {
                pointer[i] = Float(
                    Double(mean) + Double(standardDeviation) * generator.nextNormal())
            }
        }
    }

    /// Elements from the uniform distribution over `range`.
    public static func randomUniform(
        _ shape: [Int], in range: Range<Float> = 0..<1,
        using generator: inout some RandomNumberGenerator
    ) -> Tensor {
        Tensor(shape: shape) { pointer in
            for i in 0..<shape.product { pointer[i] = .random(in: range, using: &generator) }
        }
    }
}

/// 64-bit FNV-1a of a string: the same in every process, unlike `Hasher`.
func stableHash(_ text: String) -> UInt64 {
    text.utf8.reduce(StableHash.empty) { StableHash.extended($0, by: UInt64($1)) }
}
