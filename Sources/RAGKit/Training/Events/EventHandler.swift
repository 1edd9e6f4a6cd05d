/// Calls a closure for each event.
///
/// The closure is `@Sendable` since it runs on the thread that trains, wherever it was written. The
/// results of a run need not be gathered with it: ``Trainer/Report`` has losses, evaluations and
/// scalars.
public final class EventHandler: TrainerCallback {
    private let body: @Sendable (TrainingEvent) throws -> Void

    public init(_ body: @escaping @Sendable (TrainingEvent) throws -> Void) { self.body = body }

    public func handle(_ event: TrainingEvent) throws { try body(event) }
}
