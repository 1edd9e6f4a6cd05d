/// An answer, and what it rests on.
public struct RagAnswer: Sendable {
    /// A passage behind an answer.
    public struct Source: Sendable {
        public var passage: Passage
        /// The score that the question gave it.
        public var score: Float
        /// Its probability given the question, among the documents found.
        public var prior: Float
        /// Its probability given the question and the answer.
        public var posterior: Float
    }

    public var question: String
    public var text: String
    /// The generator's ids, with start and end token.
    public var tokenIDs: [Int32]
    /// The answer's log-probability given the question, in nats.
    public var logProbability: Float
    /// The number it was ranked by among other sequences: see `Hypothesis.score`.
    public var score: Float
    /// The documents it was made from, in the order found.
    public var sources: [Source]
    /// Further answers, best first, where `numReturnSequences` asks for more than one; theirs are
    /// empty.
    public var alternatives: [RagAnswer] = []
}
