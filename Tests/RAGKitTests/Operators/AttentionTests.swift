import Testing

@testable import RAGKit

/// A way for query segments to attend to key segments.
private struct Case: Sendable, CustomTestStringConvertible {
    var name: String
    var queryOffsets: [Int]
    var keyOffsets: [Int]
    var attended: [[Int]]

    var segments: SegmentMap {
        SegmentMap(queryOffsets: queryOffsets, keyOffsets: keyOffsets, attended: attended)
    }
    var testDescription: String { name }

    static func longest(_ offsets: [Int]) -> Int {
        zip(offsets.dropFirst(), offsets).map { $0 - $1 }.max() ?? 0
    }
}

private let cases = [
    Case(name: "one row", queryOffsets: [0, 1], keyOffsets: [0, 1], attended: [[0]]),
    Case(name: "self", queryOffsets: [0, 3, 8], keyOffsets: [0, 3, 8], attended: [[0], [1]]),
    Case(
        name: "several segments as one", queryOffsets: [0, 3, 5], keyOffsets: [0, 2, 6, 7],
        attended: [[0, 1, 2], [2, 0]]),
    Case(
        name: "one segment for many", queryOffsets: [0, 1, 2, 5, 6], keyOffsets: [0, 4, 7],
        attended: [[0], [0], [1], [0]]),
    Case(
        name: "one segment twice", queryOffsets: [0, 2], keyOffsets: [0, 3], attended: [[0, 0]]),
    Case(
        name: "rows that see nothing", queryOffsets: [0, 2, 4, 5], keyOffsets: [0, 0, 3],
        attended: [[], [0], [1]]),
    Case(
        name: "empty segments", queryOffsets: [0, 0, 3, 3], keyOffsets: [0, 2, 2, 5],
        attended: [[0], [1, 2, 1, 0], []]),
    Case(
        name: "more queries than keys", queryOffsets: [0, 6], keyOffsets: [0, 2], attended: [[0]]),
    Case(
        name: "longer than a vector", queryOffsets: [0, 9, 26], keyOffsets: [0, 17, 19, 38],
        attended: [[2, 0], [1]]),
    Case(name: "no rows", queryOffsets: [0], keyOffsets: [0], attended: []),
]

/// What may be added to the scores, and how wide heads are.
private struct Options: Sendable, CustomTestStringConvertible {
    var heads = 2
    var headDim = 3
    var causal = false
    var hasHeadBias = false
    var hasSegmentBias = false

    var testDescription: String {
        "\(heads)×\(headDim)\(causal ? " causal" : "")\(hasHeadBias ? " head bias" : "")"
            + (hasSegmentBias ? " segment bias" : "")
    }
}

private let options = [
    Options(), Options(causal: true), Options(heads: 1, headDim: 1), Options(heads: 3, headDim: 17),
    Options(hasHeadBias: true), Options(hasSegmentBias: true),
    Options(causal: true, hasHeadBias: true, hasSegmentBias: true),
]

/// Inputs in the order queries, keys, values, head bias, segment bias, with the biases there are.
private func inputs(_ sample: Case, _ options: Options, seed: UInt64) -> [Tensor] {
    var generator = SeededGenerator(seed: seed)
    let width = options.heads * options.headDim
    let (queryRows, keyRows) = (sample.segments.queryOffsets.last ?? 0, sample.keyOffsets.last ?? 0)
    var shapes = [[queryRows, width], [keyRows, width], [keyRows, width]]
    if options.hasHeadBias {
        // A little larger than needed: nobody reads the rest, whose gradient is zero.
        shapes.append([
            options.heads, Case.longest(sample.queryOffsets) + 1,
            Case.longest(sample.keyOffsets) + 2,
        ])
    }
    if options.hasSegmentBias { shapes.append([sample.segments.attended.count]) }
    return shapes.map { .random($0, using: &generator) }
}

private func attend(
    _ x: [Tensor], _ sample: Case, _ options: Options, dropout: DropoutMask = .none
) -> Tensor {
    .attention(
        x[0], x[1], x[2], segments: sample.segments, heads: options.heads, causal: options.causal,
        scale: 0.6, headBias: options.hasHeadBias ? x[3] : nil,
        segmentBias: options.hasSegmentBias ? x[x.count - 1] : nil, dropout: dropout)
}

@Suite struct AttentionTests {
    @Test(arguments: cases, options)
    fileprivate func matchesTheLoop(sample: Case, options: Options) {
        for seed in 0..<UInt64(2) {
            let inputs = inputs(sample, options, seed: seed)
            let naive = NaiveAttention(
                segments: sample.segments, heads: options.heads, headDim: options.headDim,
                causal: options.causal, scale: Double(Float(0.6)),
                biasRows: options.hasHeadBias ? inputs[3].dim(1) : 0,
                biasColumns: options.hasHeadBias ? inputs[3].dim(2) : 0)
            let isLong = inputs[0].count + inputs[1].count > 500
            let function: ([Tensor]) -> Tensor = { attend($0, sample, options) }
            if isLong {
                let values = inputs.map(\.doubles)
                expectClose(
                    function(inputs),
                    naive(
                        values[0], values[1], values[2],
                        headBias: options.hasHeadBias ? values[3] : nil,
                        segmentBias: options.hasSegmentBias ? values[values.count - 1] : nil))
            } else {
                expectMatches(
                    { values in
                        naive(
                            values[0], values[1], values[2],
                            headBias: options.hasHeadBias ? values[3] : nil,
                            segmentBias: options.hasSegmentBias ? values[values.count - 1] : nil)
                    },
                    function, at: inputs, seed: seed, relative: 2e-5, ofRootMeanSquare: 2e-5)
            }
            expectGradient(of: function, at: inputs, seed: seed)
        }
    }

    @Test(arguments: cases, options)
    fileprivate func isTheCompositionOfPlainOperators(sample: Case, options: Options) {
        guard sample.segments.queryOffsets.last ?? 0 > 0 else { return }
        expectSame(
            { attend($0, sample, options) }, as: { plainAttention($0, sample, options) },
            at: inputs(sample, options, seed: 7), seed: 7, relative: 2e-5, ofRootMeanSquare: 2e-5)
    }

    @Test func rowsThatSeeNothingGiveZeros() {
        let sample = cases[5]
        let x = inputs(sample, Options(), seed: 3).map { $0.variable() }
        let y = attend(x, sample, Options())
        #expect(y.slice(0..<4).elements.allSatisfy { $0 == 0 })
        #expect(y.slice(4..<5).elements.contains { $0 != 0 })
        let found = gradients(of: y, for: x)
        #expect(found.allSatisfy { $0.elements.allSatisfy { $0.isFinite } })
        #expect(found[0].slice(0..<4).elements.allSatisfy { $0 == 0 })
        // Causal rows before the first key see nothing either.
        let long = cases[7]
        let causal = attend(inputs(long, Options(), seed: 4), long, Options(causal: true))
        #expect(causal.slice(0..<4).elements.allSatisfy { $0 == 0 })
    }

    @Test func keysThatNobodyAttendsToGetZeroGradients() {
        let sample = Case(
            name: "", queryOffsets: [0, 2], keyOffsets: [0, 2, 5, 6], attended: [[0, 2]])
        let x = inputs(sample, Options(), seed: 5).map { $0.variable() }
        let found = gradients(
            of: attend(x, sample, Options()).squared(), for: Array(x.dropFirst()))
        for gradient in found {
            #expect(gradient.slice(2..<5).elements.allSatisfy { $0 == 0 })
            #expect(gradient.slice(0..<2).elements.contains { $0 != 0 })
        }
    }

    /// Scores whose exponentials overflow, and a bias that rules rows out.
    @Test(arguments: [Float(1), 1000])
    func largeScoresDoNotOverflow(size: Float) {
        let x = [[4, 2], [5, 2], [5, 2]].map { Tensor.counting($0).variable() }
        let y = Tensor.attention(
            x[0] * size, x[1], x[2],
            segments: SegmentMap(
                queryOffsets: [0, 4], keyOffsets: [0, 5], attended: [0]), heads: 1, scale: 1)
        #expect(y.elements.allSatisfy { $0.isFinite })
        if size > 1 { #expect(y.slice(3..<4).elements == [8, 9]) }
        #expect(gradients(of: y, for: x).allSatisfy { $0.elements.allSatisfy { $0.isFinite } })
    }

    @Test func aSegmentBiasOfMinusInfinityRulesASegmentOut() {
        let sample = cases[2]
        let option = Options(hasSegmentBias: true)
        var x = inputs(sample, option, seed: 6)
        x[3] = Tensor([0, -.infinity, 0, -.infinity, -.infinity], shape: [5])
        x = x.map { $0.variable() }
        let y = attend(x, sample, option)
        let without = Case(
            name: "", queryOffsets: [0, 3, 5], keyOffsets: [0, 2, 6, 7], attended: [[0, 2], []])
        expectClose(y.detached, attend(x.map(\.detached), without, Options()))
        #expect(gradients(of: y, for: x).allSatisfy { $0.elements.allSatisfy { $0.isFinite } })
    }

    @Test func misfitsStop() async {
        await #expect(processExitsWith: .failure) {
            let x = Tensor.zeros([3, 4])
            let segments = SegmentMap(selfAttention: [0, 2])
            _ = Tensor.attention(x, x, x, segments: segments, heads: 2, scale: 1)
        }
        await #expect(processExitsWith: .failure) {
            let x = Tensor.zeros([2, 4])
            let segments = SegmentMap(selfAttention: [0, 2])
            _ = Tensor.attention(x, x, x, segments: segments, heads: 3, scale: 1)
        }
        await #expect(processExitsWith: .failure) {
            _ = SegmentMap(queryOffsets: [0, 2], keyOffsets: [0, 2], attended: [[1]])
        }
        await #expect(processExitsWith: .failure) {
            _ = SegmentMap(queryOffsets: [0, 3, 2], keyOffsets: [0, 2], attended: [[0], [0]])
        }
    }
}

@Suite struct AttentionDropoutTests {
    private static let mask = DropoutMask(rate: 0.25, seed: 21, stream: 5)

    @Test(arguments: cases, [options[0], options[6]])
    fileprivate func theGradientUsesTheSameMask(sample: Case, options: Options) {
        for seed in 0..<UInt64(3) {
            expectGradient(
                of: { attend($0, sample, options, dropout: Self.mask) },
                at: inputs(sample, options, seed: seed), seed: seed)
        }
    }

    /// With the identity as values the result shows each probability: dropped, or scaled up.
    @Test func probabilitiesAreDroppedOrScaled() {
        let (rows, size) = (40, 32)
        var generator = SeededGenerator(seed: 3)
        let queries = Tensor.random([rows, 2 * size], using: &generator) * 0.2
        let keys = Tensor.random([size, 2 * size], using: &generator) * 0.2
        let identity = Tensor(
            (0..<size * 2 * size).map { $0 / (2 * size) == $0 % size ? 1 : 0 },
            shape: [size, 2 * size])
        func probabilities(_ mask: DropoutMask) -> Tensor {
            .attention(
                queries, keys, identity,
                segments: SegmentMap(
                    queryOffsets: [0, rows], keyOffsets: [0, size], attended: [0]),
                heads: 2, scale: 0.3, dropout: mask)
        }
        let plain = probabilities(.none).elements
        let dropped = probabilities(Self.mask).elements
        for (index, (with, without)) in zip(dropped, plain).enumerated() where with != 0 {
            #expect(abs(with * 0.75 - without) < 1e-5 * without, "element \(index)")
        }
        let count = dropped.filter { $0 == 0 }.count
        #expect(abs(count - plain.count / 4) < 130)  // five standard deviations of 22, and a bit
        // Heads and rows are dropped independently.
        func pattern(_ row: Int, _ head: Int) -> [Bool] {
            let first = (row * 2 + head) * size
            return dropped[first..<first + size].map { $0 == 0 }
        }
        let patterns = (0..<rows).flatMap { row in (0..<2).map { pattern(row, $0) } }
        #expect(Set(patterns).count == patterns.count)
    }

    @Test func theExpectedValueIsTheResultWithoutDropout() {
        let sample = cases[2]
        let x = inputs(sample, Options(), seed: 9)
        let count = 4000
        var sum = Tensor.zeros(x[0].shape)
        for stream in 0..<UInt64(count) {
            let mask = DropoutMask(rate: 0.25, seed: 1, stream: stream)
            sum = sum + attend(x, sample, Options(), dropout: mask)
        }
        let expected = attend(x, sample, Options())
        // Each result has a standard deviation below 1.
        expectClose(sum / Float(count), expected, relative: 0, ofRootMeanSquare: 0.08)
    }
}

/// Attention from rows, products and softmax, one query segment and head at a time.
private func plainAttention(_ x: [Tensor], _ sample: Case, _ options: Options) -> Tensor {
    let segments = sample.segments
    var parts: [Tensor] = []
    for segment in 0..<segments.queryOffsets.count - 1 {
        let rows = segments.queryOffsets[segment]..<segments.queryOffsets[segment + 1]
        guard !rows.isEmpty else { continue }
        let entries = segments.attendedOffsets[segment]..<segments.attendedOffsets[segment + 1]
        let keys = entries.flatMap { entry in
            let attended = segments.attended[entry]
            let first = segments.keyOffsets[attended]
            return (first..<segments.keyOffsets[attended + 1]).map { (entry, $0, $0 - first) }
        }
        guard !keys.isEmpty else {
            parts.append(x[0].slice(rows) * 0)
            continue
        }
        let (k, v) = (x[1].rows(keys.map { Int32($0.1) }), x[2].rows(keys.map { Int32($0.1) }))
        let heads = (0..<options.heads).map { head in
            func part(_ tensor: Tensor) -> Tensor {
                let range = head * options.headDim..<(head + 1) * options.headDim
                return tensor.transposed().slice(range).transposed()
            }
            var scores = part(x[0].slice(rows)).matmul(part(k), otherTransposed: true) * 0.6
            if options.hasHeadBias {
                let bias = x[3].slice(head..<head + 1)
                let square = bias.reshaped(Array(bias.shape.dropFirst())).slice(0..<rows.count)
                scores = scores + square.transposed().rows(keys.map { Int32($0.2) }).transposed()
            }
            if options.hasSegmentBias {
                scores = scores + x[x.count - 1].rows(keys.map { Int32($0.0) })
            }
            guard options.causal else { return scores.softmax().matmul(part(v)) }
            let hidden = (0..<rows.count).flatMap { row in
                keys.indices.map { $0 > row + keys.count - rows.count ? -Float.infinity : 0 }
            }
            return (scores + Tensor(hidden, shape: scores.shape)).softmax().matmul(part(v))
        }
        parts.append(Tensor.concatenated(heads.map { $0.transposed() }).transposed())
    }
    return .concatenated(parts)
}
