import Testing

@testable import RAGKit

/// What a projection is tested with: `(hidden, weight, bias)`.
private func projection(_ x: [Tensor], scale: Float = 1) -> VocabularyProjection {
    VocabularyProjection(weight: x[1], bias: x.count > 2 ? x[2] : nil, scale: scale)
}

@Suite struct VocabularyTests {
    private static let targets: [Int32] = [4, 0, -100, 18, 4, -1]

    /// Logits small enough for every probability to count.
    private static func inputs(
        rows: Int, width: Int, vocabulary: Int, hasBias: Bool, seed: UInt64
    ) -> [Tensor] {
        var generator = SeededGenerator(seed: seed)
        let shapes = [[rows, width], [vocabulary, width]] + (hasBias ? [[vocabulary]] : [])
        return shapes.map { Tensor.random($0, using: &generator) * 0.7 }
    }

    @Test(arguments: [(true, Float(1)), (false, 1), (true, 0.3), (false, 2)], [false, true])
    func logProbabilitiesMatchTheLoop(options: (Bool, Float), includingTotal: Bool) {
        let (hasBias, scale) = options
        let (width, size) = (5, 19)
        let inputs = Self.inputs(
            rows: 6, width: width, vocabulary: size, hasBias: hasBias, seed: 1)
        let function: ([Tensor]) -> Tensor = { x in
            let result = projection(x, scale: scale).logProbabilities(
                x[0], targets: Self.targets, includingTotal: includingTotal)
            #expect((result.total != nil) == includingTotal)
            return .concatenated([result.target] + (result.total.map { [$0] } ?? []))
        }
        expectMatches(
            { values in
                let logits = Naive.matmul(
                    values[0].map { $0 * Double(scale) }, values[1], m: 6, k: width, n: size,
                    otherTransposed: true)
                let rows = Naive.rows(logits, width: size).map { row in
                    Naive.logSoftmax(hasBias ? zip(row, values[2]).map { $0 + $1 } : row)
                }
                let picked = zip(rows, Self.targets).map { $1 < 0 ? 0 : $0[Int($1)] }
                return picked + (includingTotal ? rows.map { $0.reduce(0, +) } : [])
            },
            function, at: inputs, seed: 2)
        // Sums over the vocabulary bend more within a step than one log-probability does.
        let tolerance = includingTotal ? 5e-3 : 1e-3
        for seed in 0..<UInt64(3) {
            expectGradient(of: function, at: inputs, seed: seed, tolerance: tolerance)
        }
    }

    /// More rows than one chunk holds: with this vocabulary a chunk is 64 rows.
    @Test(arguments: [false, true])
    func severalChunksAreOneResult(hasBias: Bool) {
        let (rows, size) = (150, 20_011)
        var generator = SeededGenerator(seed: 3)
        var targets = generator.ids(rows, below: size)
        targets[70] = -100
        targets[149] = 20_010
        let inputs = Self.inputs(rows: rows, width: 3, vocabulary: size, hasBias: hasBias, seed: 4)
        expectSame(
            { x in
                let result = projection(x, scale: 0.5).logProbabilities(
                    x[0], targets: targets, includingTotal: true)
                return result.target + (result.total ?? result.target) * 1e-4
            },
            as: { plainLogProbabilities($0, scale: 0.5, targets, totalWeight: 1e-4) },
            at: inputs, seed: 5, relative: 3e-5, ofRootMeanSquare: 3e-5)
    }

    /// Rows whose exponentials would overflow Float32.
    @Test func largeLogitsDoNotOverflow() {
        let hidden = Tensor([200, -200], shape: [2, 1]).variable()
        let weight = Tensor([-1, 0, 2], shape: [3, 1]).variable()
        let result = VocabularyProjection(weight: weight)
            .logProbabilities(hidden, targets: [0, 0], includingTotal: true)
        #expect(result.target.elements == [-600, 0])
        #expect(result.total?.elements == [-1000, -800])
        let found = gradients(of: result.target, for: [hidden, weight])
        #expect(found[0].elements == [-3, 0])
        #expect(found[1].elements == [200, 0, -200])
    }

    @Test func noRows() {
        let x = [[0, 3], [7, 3], [7]].map { Tensor.full($0, 1).variable() }
        let result = projection(x).logProbabilities(x[0], targets: [], includingTotal: true)
        #expect(result.target.shape == [0] && result.total?.shape == [0])
        let found = gradients(of: result.target, for: x)
        #expect(found.allSatisfy { $0.elements.allSatisfy { $0 == 0 } })
    }

    @Test func onlyIgnoredTargetsGiveZeroGradients() {
        let x = Self.inputs(rows: 2, width: 3, vocabulary: 7, hasBias: true, seed: 6)
            .map { $0.variable() }
        let result = projection(x).logProbabilities(x[0], targets: [-100, -1])
        #expect(result.target.elements == [0, 0])
        let found = gradients(of: result.target, for: x)
        #expect(found.allSatisfy { $0.elements.allSatisfy { $0 == 0 } })
    }

    @Test func logitsAreTheProjection() {
        let inputs = Self.inputs(rows: 4, width: 3, vocabulary: 7, hasBias: true, seed: 7)
        expectSame(
            { projection($0, scale: 0.25).logits($0[0]) },
            as: { ($0[0] * 0.25).matmul($0[1], otherTransposed: true) + $0[2] }, at: inputs,
            seed: 1)
        #expect(projection(inputs).vocabularySize == 7)
    }

    @Test func targetsOutOfRangeStop() async {
        await #expect(processExitsWith: .failure) {
            _ = VocabularyProjection(weight: .zeros([7, 3])).logProbabilities(
                .zeros([1, 3]), targets: [7])
        }
        await #expect(processExitsWith: .failure) {
            _ = VocabularyProjection(weight: .zeros([7, 3])).logProbabilities(
                .zeros([2, 3]), targets: [1])
        }
    }
}

/// Log-probabilities from all logits; a negative target counts 0.
private func plainLogProbabilities(
    _ x: [Tensor], scale: Float, _ targets: [Int32], totalWeight: Float
) -> Tensor {
    let logits = (x[0] * scale).matmul(x[1], otherTransposed: true)
    let logProbabilities = (x.count > 2 ? logits + x[2] : logits).logSoftmax()
    let counts = Tensor(targets.map { $0 < 0 ? 0 : 1 }, shape: [targets.count])
    let picked = logProbabilities.elements(at: targets.map { max($0, 0) }) * counts
    return picked + logProbabilities.sum(axis: 1) * totalWeight
}

@Suite struct MarginalTests {
    /// `(hidden, weight, priors, bias?)` for `groups` groups of `documents` rows.
    private static func inputs(
        groups: Int, documents: Int, width: Int, vocabulary: Int, hasBias: Bool, seed: UInt64
    ) -> [Tensor] {
        var generator = SeededGenerator(seed: seed)
        let shapes =
            [[groups * documents, width], [vocabulary, width], [groups, documents]]
            + (hasBias ? [[vocabulary]] : [])
        return shapes.map { Tensor.random($0, using: &generator) * 0.7 }
    }

    private static func fused(
        _ x: [Tensor], scale: Float, _ targets: [Int32], totalWeight: Float = 1
    ) -> Tensor {
        let projection = VocabularyProjection(
            weight: x[1], bias: x.count > 3 ? x[3] : nil, scale: scale)
        let result = projection.marginalLogProbabilities(
            x[0], priors: x[2].logSoftmax(), targets: targets)
        return .concatenated([result.target, (result.total ?? result.target) * totalWeight])
    }

    /// From all logits, with plain operators.
    private static func plain(
        _ x: [Tensor], scale: Float, _ targets: [Int32], totalWeight: Float = 1
    ) -> Tensor {
        let (groups, documents) = (x[2].dim(0), x[2].dim(1))
        let logits = (x[0] * scale).matmul(x[1], otherTransposed: true)
        let each = (x.count > 3 ? logits + x[3] : logits).logSoftmax()
        let joint =
            each.reshaped([groups, documents, x[1].dim(0)])
            + x[2].logSoftmax().reshaped([groups, documents, 1])
        let marginal = joint.logSumExp(axis: 1)
        let counts = Tensor(targets.map { $0 < 0 ? 0 : 1 }, shape: [groups])
        let picked = marginal.elements(at: targets.map { max($0, 0) }) * counts
        return .concatenated([picked, marginal.sum(axis: 1) * totalWeight])
    }

    @Test(
        arguments: [(true, Float(1)), (false, 1), (true, 0.3)],
        [[4, 0, -100, 18], [-1], [3, 3, 3]] as [[Int32]])
    func isTheCompositionOfPlainOperators(options: (Bool, Float), targets: [Int32]) {
        let (hasBias, scale) = options
        for documents in [1, 2, 5] {
            let inputs = Self.inputs(
                groups: targets.count, documents: documents, width: 5, vocabulary: 19,
                hasBias: hasBias, seed: UInt64(documents))
            expectSame(
                { Self.fused($0, scale: scale, targets) },
                as: { Self.plain($0, scale: scale, targets) }, at: inputs, seed: 1)
            expectGradient(
                of: { Self.fused($0, scale: scale, targets) }, at: inputs, seed: 2, tolerance: 5e-3)
        }
    }

    @Test func matchesTheLoop() {
        let (groups, documents, width, size) = (3, 4, 5, 11)
        let targets: [Int32] = [10, -100, 0]
        let inputs = Self.inputs(
            groups: groups, documents: documents, width: width, vocabulary: size, hasBias: true,
            seed: 9)
        expectMatches(
            { values in
                let logits = Naive.matmul(
                    values[0], values[1], m: groups * documents, k: width, n: size,
                    otherTransposed: true)
                let each = Naive.rows(logits, width: size).map { row in
                    Naive.logSoftmax(zip(row, values[3]).map { $0 + $1 })
                }
                let priors = Naive.rows(values[2], width: documents).map(Naive.logSoftmax)
                let marginals = (0..<groups).map { group in
                    (0..<size).map { token in
                        Naive.logSumExp(
                            (0..<documents).map {
                                each[group * documents + $0][token] + priors[group][$0]
                            })
                    }
                }
                return zip(marginals, targets).map { $1 < 0 ? 0 : $0[Int($1)] }
                    + marginals.map { $0.reduce(0, +) }
            },
            { Self.fused($0, scale: 1, targets) }, at: inputs, seed: 3)
    }

    /// More groups than one chunk holds: with this vocabulary a chunk is 60 rows, 12 groups of 5.
    @Test func severalChunksAreOneResult() {
        let (groups, documents, size) = (31, 5, 20_011)
        var generator = SeededGenerator(seed: 10)
        var targets = generator.ids(groups, below: size)
        targets[13] = -100
        let inputs = Self.inputs(
            groups: groups, documents: documents, width: 3, vocabulary: size, hasBias: true,
            seed: 11)
        expectSame(
            { Self.fused($0, scale: 0.5, targets, totalWeight: 1e-4) },
            as: { Self.plain($0, scale: 0.5, targets, totalWeight: 1e-4) }, at: inputs, seed: 4,
            relative: 3e-5, ofRootMeanSquare: 3e-5)
    }

    /// The probabilities of all tokens sum to 1 when those of the documents do.
    @Test func isADistribution() {
        let inputs = Self.inputs(
            groups: 1, documents: 3, width: 4, vocabulary: 9, hasBias: true, seed: 12)
        let total = (0..<Int32(9)).reduce(Float(0)) { sum, token in
            sum + Self.fused(inputs, scale: 1, [token]).slice(0..<1).exp().item()
        }
        #expect(abs(total - 1) < 1e-5)
    }

    @Test func documentsThatCannotBeAndLargeLogits() {
        let hidden = Tensor([300, -300], shape: [2, 1]).variable()
        let weight = Tensor([-1, 1], shape: [2, 1]).variable()
        let priors = Tensor([0, -.infinity], shape: [1, 2]).variable()
        let result = VocabularyProjection(weight: weight)
            .marginalLogProbabilities(hidden, priors: priors, targets: [0])
        #expect(result.target.elements == [-600])
        let found = gradients(of: result.target, for: [hidden, weight, priors])
        #expect(found[0].elements == [-2, 0])
        #expect(found[1].elements == [300, -300])
        #expect(found[2].elements == [1, 0])
    }

    /// A second walk over a kept tape must not write into what the first one returned.
    @Test func walksDoNotShareBuffers() {
        let inputs = Self.inputs(
            groups: 2, documents: 3, width: 4, vocabulary: 9, hasBias: false, seed: 13)
        let priors = inputs[2].variable()
        let result = VocabularyProjection(weight: inputs[1])
            .marginalLogProbabilities(inputs[0], priors: priors, targets: [1, 2]).target
        let first = gradients(of: result, for: [priors], retainingTape: true)[0]
        let before = first.elements
        _ = gradients(of: result, for: [priors], cotangent: .full([2], 7))
        #expect(first.elements == before)
    }

    @Test func noGroups() {
        let x = [[0, 3], [7, 3], [0, 2]].map { Tensor.full($0, 1).variable() }
        let result = VocabularyProjection(weight: x[1])
            .marginalLogProbabilities(x[0], priors: x[2], targets: [])
        #expect(result.target.shape == [0])
        #expect(gradients(of: result.target, for: x).map(\.shape) == [[0, 3], [7, 3], [0, 2]])
    }
}
