import Testing

@testable import RAGKit

@Suite struct DecoderCacheTests {
    /// Rows are permuted, repeated, left out and added again and again, beside lists that are copied.
    @Test(arguments: [UInt64(1), 2, 3, 4])
    func reorderedRowsHoldWhatTheirParentsHeld(seed: UInt64) {
        var random = SeededGenerator(seed: seed)
        let (width, capacity) = (3, 12)
        var cache = SelfAttentionCache(rows: 2, capacity: capacity, width: width, layers: 2)
        // For each layer and row, the keys of its positions; values are their negatives.
        var expected = [[[Float]]](repeating: [[], []], count: 2)
        for length in 1...capacity {
            for layer in 0..<2 {
                let keys = Tensor.random([expected[layer].count, width], using: &random)
                let found = cache.extend(keys, 0 - keys, layer: layer, length: length)
                for row in expected[layer].indices {
                    expected[layer][row] += keys.elements[row * width..<(row + 1) * width]
                    let segment = found.segments.attended[row]
                    let range = found.segments.keyOffsets[segment..<segment + 2]
                    let rows = (range.first ?? 0)..<(range.last ?? 0)
                    #expect(found.keys.slice(rows).elements == expected[layer][row])
                    #expect(found.values.slice(rows).elements == expected[layer][row].map { -$0 })
                }
                #expect(found.segments.keyOffsets.last == found.keys.dim(0))
            }
            let count = Int32(expected[0].count)
            let parents = (0..<Int.random(in: 1...5, using: &random)).map { _ in
                Int32.random(in: 0..<count, using: &random)
            }
            cache.reorder(parents, length: length)
            expected = expected.map { layer in parents.map { layer[Int($0)] } }
        }
    }

    /// Only rows that share a parent are copied, and room is made only where there is too little.
    @Test func rowsThatGoOnAloneStay() {
        var cache = SelfAttentionCache(rows: 3, capacity: 2, width: 1, layers: 1)
        _ = cache.extend(
            Tensor([1, 2, 3], shape: [3, 1]), Tensor([4, 5, 6], shape: [3, 1]), layer: 0, length: 1)
        func slots(_ rows: Int) -> [Int] {
            var copy = cache
            let one = Tensor.zeros([rows, 1])
            return copy.extend(one, one, layer: 0, length: 2).segments.attended.map { $0 / 2 }
        }
        cache.reorder([2, 0, 0], length: 1)
        #expect(slots(3) == [2, 0, 1])
        let address = cache.layers[0].keys.pointer
        cache.reorder([1, 0], length: 1)
        #expect(slots(2) == [0, 2])
        cache.reorder([1, 1, 0], length: 1)
        #expect(slots(3) == [2, 1, 0])
        #expect(cache.layers[0].keys.pointer == address)
        cache.reorder([0, 1, 2, 2, 2], length: 1)
        #expect(slots(5) == [2, 1, 0, 3, 4])
        #expect(
            cache.layers[0].keys.elements.enumerated().filter { $0.offset % 2 == 0 }
                .map(\.element) == [1, 3, 3, 1, 1])
    }

    /// Rows that differ in their contexts alone go through the first self-attention as one, and give
    /// what each gives alone.
    @Test func rowsWithOnePrefixShareTheFirstSelfAttention() {
        let model = BartGenerator(configuration: TinyModels.bart)
        model.randomize(seed: 6)
        let contexts = TokenBatch([[5, 6, 7], [8, 9], [10, 11, 12, 13], [4, 6]])
        let memory = model.encode(contexts)
        var cache = model.startDecoding(
            memory, attending: [[0], [1], [2], [3]], maxLength: 6)
        let steps: [[Int32]] = [[2, 2, 2, 2], [5, 5, 6, 5], [7, 8, 7, 7], [9, 9, 9, 9]]
        // The distinct prefixes of each step: [2]; [2 5], [2 6]; [2 5 7], [2 5 8], [2 6 7]; …
        for (step, distinct) in zip(steps.indices, [1, 2, 3, 3]) {
            #expect(cache.begunRows(steps[step]) == distinct)
            let states = model.step(steps[step], &cache)
            let whole = model.decode(
                TokenBatch((0..<4).map { row in steps[0...step].map { $0[row] } }), memory,
                attending: [[0], [1], [2], [3]])
            expectClose(states, whole.rows((0..<4).map { Int32($0 * (step + 1) + step) }))
        }
    }
}

extension DecoderCache {
    /// How many rows the first self-attention has in a step with these tokens.
    fileprivate func begunRows(_ tokens: [Int32]) -> Int {
        var copy = self
        copy.append(tokens)
        return copy.prefixes.firstRows.count
    }
}
