import RAGKitBLAS

/// A row of A or a column of B as products of int8 round it, by the definition.
enum Int8Operand {
    /// The level adds the products of two neighbours in 16 bits, so a column's scale is its pairs'.
    static func isPaired(atLevel level: Int32) -> Bool {
        [RAGKIT_AVX2, RAGKIT_AVX512].contains { Int32($0) == level }
    }

    /// Blocks of about one size, a multiple of 8 and at most 768, have scales of their own.
    static func blocks(of steps: Int) -> [Range<Int>] {
        guard steps > 0 else { return [] }
        let count = (steps + 767) / 768
        let size = ((steps + count - 1) / count + 7) / 8 * 8
        return stride(from: 0, to: steps, by: size).map { $0..<min($0 + size, steps) }
    }

    /// The values that its integers stand for.
    static func values(_ line: some Collection<Float>, paired: Bool) -> [Double] {
        let line = Array(line)
        return blocks(of: line.count).flatMap { block in
            let magnitudes = line[block].map(abs) + [0]
            let largest =
                paired
                ? stride(from: 0, to: block.count, by: 2)
                    .map { magnitudes[$0] / 2 + magnitudes[$0 + 1] / 2 }.max()
                : magnitudes.max()
            let (most, peak): (Float, Float) = (paired ? 63.5 : 127, largest ?? 0)
            return line[block].map { x in
                peak == 0
                    ? 0
                    : Double((x * (most / peak)).rounded(.toNearestOrEven)) * Double(peak / most)
            }
        }
    }
}
