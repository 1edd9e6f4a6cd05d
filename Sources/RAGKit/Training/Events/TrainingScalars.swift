/// Numbers that a task reports while it is trained, such as those of a refreshed index.
public struct TrainingScalars: Sendable, Equatable {
    /// The number of optimizer steps they belong to.
    public var step: Int
    /// The name under which logs list them.
    public var name: String
    public var values: [String: Double]

    public init(step: Int, name: String, values: [String: Double]) {
        self.step = step
        self.name = name
        self.values = values
    }
}
