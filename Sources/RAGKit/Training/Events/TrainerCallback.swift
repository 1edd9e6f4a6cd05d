/// Listens to a trainer.
public protocol TrainerCallback: AnyObject {
    /// Called for each event, in order, on the thread that trains. Throwing stops training.
    func handle(_ event: TrainingEvent) throws
}
