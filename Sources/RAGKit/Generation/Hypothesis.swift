/// A decoded sequence.
public struct Hypothesis: Sendable, Equatable {
    /// The generator's ids, with the start token and, if the sequence ended, its end token.
    public var tokenIDs: [Int32]
    /// The score that hypotheses are ranked by. In a beam search it is the log-probability divided
    /// by the length to the power of `lengthPenalty`, in RAG-sequence the log-probability given all
    /// documents.
    public var score: Float
    /// The sum of the tokens' log-probabilities as they were after the processors, in nats.
    public var logProbability: Float
}
