import Testing

@testable import RAGKit

@Suite struct EmbeddingTests {
    private static let ids: [Int32] = [3, 0, 5, 3, 1, 5, 5]
    private static let places: [Int32] = [0, 1, 2, 3, 0, 1, 2]
    private static let kinds: [Int32] = [0, 0, 1, 1, 0, 0, 0]

    @Test(arguments: [(false, false), (true, false), (false, true), (true, true)], [1, 5, 17, 33])
    func sumsOfEveryKind(parts: (Bool, Bool), width: Int) {
        let (hasPositions, hasTypes) = parts
        var generator = SeededGenerator(seed: UInt64(width))
        let rows = [6] + (hasPositions ? [4] : []) + (hasTypes ? [2] : [])
        let shapes = rows.map { [$0, width] }
        let tables = shapes.map { Tensor.random($0, using: &generator) }
        let function: ([Tensor]) -> Tensor = { tables in
            .embeddingSum(
                words: EmbeddingTerm(tables[0], Self.ids), scale: 3,
                positions: hasPositions ? EmbeddingTerm(tables[1], Self.places) : nil,
                types: hasTypes ? EmbeddingTerm(tables[tables.count - 1], Self.kinds) : nil)
        }
        expectMatches(
            { values in
                Self.ids.indices.flatMap { token in
                    (0..<width).map { column in
                        func element(_ table: Int, _ row: Int32) -> Double {
                            values[table][Int(row) * width + column]
                        }
                        return 3 * element(0, Self.ids[token])
                            + (hasPositions ? element(1, Self.places[token]) : 0)
                            + (hasTypes ? element(values.count - 1, Self.kinds[token]) : 0)
                    }
                }
            },
            function, at: tables, seed: 1)
        expectGradient(of: function, at: tables, seed: 1)
        expectSame(
            function,
            as: { tables in
                var sum = tables[0].rows(Self.ids) * 3
                if hasPositions { sum = sum + tables[1].rows(Self.places) }
                if hasTypes { sum = sum + tables[tables.count - 1].rows(Self.kinds) }
                return sum
            },
            at: tables, seed: 2)
    }

    @Test func theIgnoredRowGetsNoGradient() {
        var generator = SeededGenerator(seed: 2)
        let words = Tensor.random([6, 3], using: &generator)
        let places = Tensor.random([4, 3], using: &generator)
        let cotangent = Tensor.random([7, 3], using: &generator)
        func found(_ ignored: Int?) -> [Tensor] {
            let tables = [words.variable(), places.variable()]
            let sum = Tensor.embeddingSum(
                words: EmbeddingTerm(tables[0], Self.ids, ignoringGradientOf: ignored), scale: 2,
                positions: EmbeddingTerm(tables[1], Self.places))
            return gradients(of: sum, for: tables, cotangent: cotangent)
        }
        let (all, some) = (found(nil), found(5))
        #expect(all[0].slice(5..<6).elements.allSatisfy { $0 != 0 })
        #expect(some[0].slice(5..<6).elements == [0, 0, 0])
        expectClose(some[0].slice(0..<5), all[0].slice(0..<5))
        expectIdentical(some[1], all[1])
    }

    /// One table in two roles gets both gradients.
    @Test func aSharedTable() {
        let table = Tensor.counting([3, 1]).variable()
        let sum = Tensor.embeddingSum(
            words: EmbeddingTerm(table, [0, 1]), scale: 10, positions: EmbeddingTerm(table, [1, 2]))
        #expect(sum.elements == [1, 12])
        #expect(gradients(of: sum, for: [table])[0].elements == [10, 11, 1])
    }

    @Test func noTokens() {
        let table = Tensor.counting([3, 4]).variable()
        let sum = Tensor.embeddingSum(words: EmbeddingTerm(table, []))
        #expect(sum.shape == [0, 4])
        #expect(gradients(of: sum, for: [table])[0].elements == table.elements.map { _ in 0 })
    }

    @Test func indicesOutOfRangeStop() async {
        await #expect(processExitsWith: .failure) {
            _ = Tensor.embeddingSum(words: EmbeddingTerm(.zeros([3, 2]), [3]))
        }
        await #expect(processExitsWith: .failure) {
            _ = Tensor.embeddingSum(
                words: EmbeddingTerm(.zeros([3, 2]), [1]),
                positions: EmbeddingTerm(.zeros([3, 2]), [1, 2]))
        }
    }
}
