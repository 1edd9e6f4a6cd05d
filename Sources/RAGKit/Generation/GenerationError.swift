/// Settings of generation that cannot be used.
public enum GenerationError: Error, Equatable, CustomStringConvertible {
    /// A setting is out of range, or cannot be combined with another.
    case invalidSetting(name: String, value: String, expected: String)
    /// `prefixAllowedTokens` allowed nothing, or a token that the vocabulary does not have.
    case noAllowedToken(question: Int, after: [Int32])

    public var description: String {
        switch self {
        case .invalidSetting(let name, let value, let expected):
            "generation: \(name) is \(value), expected \(expected)"
        case .noAllowedToken(let question, let after):
            "generation: prefixAllowedTokens returned no token of the vocabulary for question "
                + "\(question) after \(after): return the end token where nothing else may follow"
        }
    }
}
