/// The rule by which the states of a sequence become its vector.
public enum Pooling: String, Sendable {
    /// The first token's state (DPR).
    case cls
    /// The mean of all tokens' states.
    case mean
}
