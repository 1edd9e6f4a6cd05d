import RAGKit

/// Scores every short span of a passage from its first and its last state.
///
/// Source: Lee, Chang & Toutanova 2019, arXiv:1906.00300, section 4; the form of transformers'
/// `RealmReaderProjection`.
public final class SpanHead: Module {
    @ModuleInfo(key: "dense_intermediate") var ends: Linear  // both ends in one product
    @ModuleInfo(key: "layer_normalization") var norm: LayerNorm
    @ModuleInfo(key: "dense_output") var score: Linear

    public init(_ config: RealmReader.Configuration) {
        let rule = Parameter.Initialization.normal(standardDeviation: config.bert.initializerRange)
        super.init()
        ends = Linear(config.bert.hiddenSize, 2 * config.spanHiddenSize, initialization: rule)
        norm = LayerNorm(config.spanHiddenSize, epsilon: config.readerLayerNormEps)
        score = Linear(config.spanHiddenSize, 1, initialization: rule)
    }

    /// - Parameters:
    ///   - hidden: `[totalTokens, hidden]`.
    ///   - spans: first and last row of each.
    /// - Returns: `[spans]`.
    public func callAsFunction(_ hidden: Tensor, _ spans: Spans) -> Tensor {
        let both = ends(hidden)  // row i holds its part as a first, then as a last token
        let halves = both.reshaped([2 * both.dim(0), both.dim(1) / 2])
        let sum =
            halves.rows(spans.first.map { 2 * $0 }) + halves.rows(spans.last.map { 2 * $0 + 1 })
        return score(norm(sum.relu())).reshaped([spans.first.count])
    }
}

/// Every span that may be an answer, in the passages read for a batch of questions.
public struct Spans {
    /// The rows of first and last token among all states.
    public private(set) var first: [Int32] = []
    public private(set) var last: [Int32] = []
    /// The joint sequence each span lies in.
    public private(set) var sequence: [Int32] = []
    /// The spans that are answers, for each question.
    public private(set) var answers: [[Int32]] = []
    /// The start of each question's spans, and at last their number.
    public private(set) var offsets = [0]

    public init() {}

    /// Adds the spans of one question's passages.
    ///
    /// - Parameters:
    ///   - passages: for each joint sequence its number, the row it begins at, the places of its
    ///     passage, and where answers stand in it: first and last place.
    ///   - width: the longest span.
    public mutating func append(
        _ passages: [(sequence: Int, row: Int, places: Range<Int>, answers: [ClosedRange<Int>])],
        width: Int
    ) {
        var right: [Int32] = []
        for passage in passages {
            let known = Set(passage.answers)
            for start in passage.places {
                for end in start..<min(start + width, passage.places.upperBound) {
                    if known.contains(start...end) { right.append(Int32(first.count)) }
                    first.append(Int32(passage.row + start))
                    last.append(Int32(passage.row + end))
                    sequence.append(Int32(passage.sequence))
                }
            }
        }
        answers.append(right)
        offsets.append(first.count)
    }
}

/// `log Σ exp` over all elements minus the same over those `right`: the negative log-likelihood of
/// any of them being picked. Nil where none is right.
public func marginalLoss(_ scores: Tensor, right: [Int32]) -> Tensor? {
    guard !right.isEmpty else { return nil }
    func logSum(_ scores: Tensor) -> Tensor {
        scores.reshaped([1, scores.count]).logSumExp(axis: -1)
    }
    return (logSum(scores) - logSum(scores.rows(right))).reshaped([])
}
