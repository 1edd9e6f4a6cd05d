import Foundation
import Testing

@testable import RAGKit

@Suite struct MarginalizationTests {
    private static let offsets = [0, 3, 3, 4]  // three tokens, none, one

    private static func inputs(_ seed: UInt64) -> [Tensor] {
        var numbers = SeededGenerator(seed: seed)
        let tokens = Tensor.randomUniform([4, 3], in: -3..<(-0.1), using: &numbers)
        return [tokens, Tensor.randomNormal([3, 3], using: &numbers)]
    }

    private static func naive(
        _ kind: Marginalization, _ tokens: [Double], _ scores: [Double]
    ) -> [Double] {
        let (tokens, scores) = (Naive.rows(tokens, width: 3), Naive.rows(scores, width: 3))
        return (0..<3).map { query in
            let prior = Naive.softmax(scores[query])
            let own = Array(tokens[offsets[query]..<offsets[query + 1]])
            return switch kind {
            case .token:
                own.reduce(0) { sum, row in
                    sum + log((0..<3).reduce(0) { $0 + prior[$1] * exp(row[$1]) })
                }
            case .sequence:
                log(
                    (0..<3).reduce(0) { sum, document in
                        sum + prior[document] * exp(own.reduce(0) { $0 + $1[document] })
                    })
            }
        }
    }

    @Test(arguments: [Marginalization.token, .sequence], 0..<UInt64(3))
    func agreesWithLoops(kind: Marginalization, seed: UInt64) {
        expectMatches(
            { Self.naive(kind, $0[0], $0[1]) },
            { kind.logLikelihoods($0[0], priors: $0[1].logSoftmax(), offsets: Self.offsets) },
            at: Self.inputs(seed), seed: seed)
    }

    /// ∂ log p(y|x) / ∂ f(z) = (p(y|z,x) / p(y|x) - 1) p(z|x): of a sequence, and of a token alone.
    @Test(arguments: 0..<UInt64(5))
    func gradientOfScoresIsTheIdentityOfThePaper(seed: UInt64) {
        let (tokens, scores) = (Self.inputs(seed)[0], Self.inputs(seed)[1].variable())
        let likelihood = Marginalization.sequence.logLikelihoods(
            tokens, priors: scores.logSoftmax(), offsets: Self.offsets)
        let found = gradients(of: likelihood.sum(), for: [scores])[0]
        let rows = Naive.rows(tokens.doubles, width: 3)
        let expected = (0..<3).flatMap { query in
            let prior = Naive.softmax(Naive.rows(scores.doubles, width: 3)[query])
            let given = (0..<3).map { document in
                exp(
                    rows[Self.offsets[query]..<Self.offsets[query + 1]].reduce(0) {
                        $0 + $1[document]
                    })
            }
            let whole = Naive.dot(prior, given)
            return (0..<3).map { (given[$0] / whole - 1) * prior[$0] }
        }
        expectClose(found, expected, absolute: 1e-6)
    }

    @Test func segmentSums() {
        let rows = Tensor((1...8).map { Float($0) }, shape: [4, 2])
        #expect(rows.segmentSums(offsets: [0, 3, 3, 4]).elements == [9, 12, 0, 0, 7, 8])
        var numbers = SeededGenerator(seed: 1)
        expectGradient(
            of: { $0.segmentSums(offsets: [0, 3, 3, 4]) },
            at: .random([4, 2], using: &numbers), seed: 2)
    }
}
