/// The inputs that a retriever requires.
public struct QueryNeeds: OptionSet, Sendable {
    public let rawValue: Int
    public init(rawValue: Int) { self.rawValue = rawValue }

    /// The words of the question.
    public static let text = QueryNeeds(rawValue: 1)
    /// The question encoder's vector.
    public static let vector = QueryNeeds(rawValue: 2)
}
