import Foundation
import Testing

@testable import RAGKit

@Suite struct RandomGeneratorTests {
    /// The published first outputs of SplitMix64 for this seed.
    @Test func matchesThePublishedNumbers() {
        var generator = SeededGenerator(seed: 1_234_567)
        let expected: [UInt64] = [
            6_457_827_717_110_365_317, 3_203_168_211_198_807_973, 9_817_491_932_198_370_423,
            4_593_380_528_125_082_431, 16_408_922_859_458_223_821,
        ]
        #expect((0..<5).map { _ in generator.next() } == expected)
    }

    @Test func goesOnWhereItWasSaved() throws {
        var generator = SeededGenerator(seed: 9)
        _ = generator.next()
        let data = try JSONEncoder().encode(generator)
        var restored = try JSONDecoder().decode(SeededGenerator.self, from: data)
        #expect(restored == generator && restored.next() == generator.next())
    }

    @Test func normalNumbersHaveTheirMoments() {
        var generator = SeededGenerator(seed: 3)
        let count = 100_000
        let x = Tensor.randomNormal([count], mean: 2, standardDeviation: 3, using: &generator)
        let centered = x.doubles.map { ($0 - 2) / 3 }
        func moment(_ power: Double) -> Double {
            centered.reduce(0) { $0 + pow($1, power) } / Double(count)
        }
        #expect(abs(moment(1)) < 0.016 && abs(moment(2) - 1) < 0.023)
        #expect(abs(moment(3)) < 0.06 && abs(moment(4) - 3) < 0.16)
        #expect(centered.allSatisfy { $0.isFinite })
    }

    @Test func uniformNumbersFillTheirRange() {
        var generator = SeededGenerator(seed: 4)
        let x = Tensor.randomUniform([50_000], in: -1..<3, using: &generator).doubles
        #expect(x.allSatisfy { (-1..<3).contains($0) })
        let mean = x.reduce(0, +) / 50_000
        #expect(abs(mean - 1) < 0.026)
        #expect((x.min() ?? 0) < -0.99 && (x.max() ?? 0) > 2.99)
    }

    @Test func theSameSeedGivesTheSameTensor() {
        func tensor(_ seed: UInt64) -> Tensor {
            var generator = SeededGenerator(seed: seed)
            return .randomNormal([3, 5], using: &generator)
        }
        expectIdentical(tensor(1), tensor(1))
        #expect(tensor(1).elements != tensor(2).elements)
    }

    /// The published values of 64-bit FNV-1a.
    @Test func stableHashes() {
        #expect(stableHash("") == 0xCBF2_9CE4_8422_2325)
        #expect(stableHash("a") == 0xAF63_DC4C_8601_EC8C)
        #expect(stableHash("foobar") == 0x8594_4171_F739_67E8)
    }
}
