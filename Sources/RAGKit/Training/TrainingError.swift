/// Training that cannot start or go on.
public enum TrainingError: Error, Equatable, CustomStringConvertible {
    case invalidArgument(name: String, rule: String)
    /// The set of examples is empty.
    case noExamples
    /// No parameter's name contains the word.
    case nothingFrozen(String)
    /// No trained parameter's name contains the word of a rate factor.
    case nothingToScale(String)
    case nothingTrainable
    /// A loss or gradient is infinite or not a number; the weights are those of the step before.
    case notFinite(what: String, step: Int, examples: [Int])
    /// The context encoder made vectors that are infinite or not numbers; the old index stays.
    case notFiniteVectors(step: Int)
    /// A retriever without replaceable index was asked to refresh it.
    case notRefreshable(retriever: String)
    /// The metric that decides which model is best is not among those of the validation.
    case unknownMetric(name: String?, known: [String])
    /// `fit` was called while it ran.
    case alreadyRunning

    public var description: String {
        switch self {
        case .invalidArgument(let name, let rule): "\(name) must be \(rule)"
        case .noExamples: "there are no training examples"
        case .nothingFrozen(let word):
            "no parameter's name contains '\(word)', which was to be frozen"
        case .nothingToScale(let word):
            "no trained parameter's name contains '\(word)', whose learning rate was to be scaled"
        case .nothingTrainable: "every parameter is frozen: there is nothing to train"
        case .notFinite(let what, let step, let examples):
            "\(what) is infinite or not a number at step \(step), examples \(examples): the weights "
                + "were not changed; lower the learning rate, or look at these examples"
        case .notFiniteVectors(let step):
            "the context encoder of step \(step) makes vectors that are infinite or not numbers: "
                + "the index stays as it was"
        case .notRefreshable(let retriever):
            "\(retriever) cannot take a new index: use a RefreshableRetriever, or the schedule .never"
        case .unknownMetric(let name, let known):
            "the metric for the best model is \(name.map { "'\($0)'" } ?? "not set"), the validation "
                + "has \(known.joined(separator: ", ")): set `metricForBestModel` to one of them"
        case .alreadyRunning: "this trainer runs already"
        }
    }
}
