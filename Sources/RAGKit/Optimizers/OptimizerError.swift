/// An optimizer's state that belongs to other parameters or to another optimizer.
public enum OptimizerError: Error, Equatable, CustomStringConvertible {
    /// Every name that did not line up.
    case doesNotFit(missing: [String], unexpected: [String], wrongShape: [String])

    public var description: String {
        switch self {
        case .doesNotFit(let missing, let unexpected, let wrongShape):
            let lists = [
                ("missing", missing), ("unexpected", unexpected), ("wrong shape", wrongShape),
            ]
            return "the optimizer's state does not fit: "
                + lists.filter { !$0.1.isEmpty }
                .map { "\($0.0): \($0.1.joined(separator: ", "))" }.joined(separator: "; ")
                + "; load the state of the same model and optimizer"
        }
    }
}
