/// A question with its answers, on which RAG models are trained and tested.
public struct RagExample: Sendable, Equatable {
    public var question: String
    /// All answers that count as right; training takes the first.
    public var answers: [String]
    /// The passage that holds the answer, if it is known.
    public var goldPassage: PassageID?
    /// The file and line it was read from, as `file:line`: what errors name. Examples are equal
    /// whatever it is.
    public var origin: String?

    public init(question: String, answers: [String], goldPassage: PassageID? = nil) {
        self.question = question
        self.answers = answers
        self.goldPassage = goldPassage
    }

    public static func == (one: RagExample, other: RagExample) -> Bool {
        one.question == other.question && one.answers == other.answers
            && one.goldPassage == other.goldPassage
    }
}
