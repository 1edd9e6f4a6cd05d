/// The steps after which the index is rebuilt, counted in optimizer steps.
public enum RefreshSchedule: Sendable, Equatable {
    /// The index stays as it was at the start.
    case never
    /// After every so many steps, training waits until the new index is in use. A last refresh at
    /// the end makes index and encoder agree.
    case blocking(every: Int)
    /// After every so many steps a new index is begun, unless the one before is not ready yet, on
    /// threads of low priority (a quarter as many as training has, at least one) while training goes
    /// on. It is in use from the first step that begins after it is ready: which step that is, and so
    /// the run's result, depends on the machine's speed. The last refresh is done as with `blocking`.
    case background(every: Int)

    var every: Int? {
        switch self {
        case .never: nil
        case .blocking(let every), .background(let every): every
        }
    }
}
