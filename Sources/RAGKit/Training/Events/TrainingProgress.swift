/// The progress of longer work beside the optimizer steps, such as encoding a knowledge base.
public struct TrainingProgress: Sendable, Equatable {
    /// The number of optimizer steps that the work belongs to.
    public var step: Int
    /// A word for the work, as progress bars show it.
    public var name: String
    /// The number of units done.
    public var completed: Int
    /// The number of units in all.
    public var total: Int

    public init(step: Int, name: String, completed: Int, total: Int) {
        self.step = step
        self.name = name
        self.completed = completed
        self.total = total
    }
}
