import RAGKit

/// Trains a task with a progress bar under a title.
///
/// - Parameter callbacks: Told about events beside the progress bar.
/// - Throws: As the trainer.
@discardableResult
public func trainShowingProgress<Objective: TrainingTask>(
    _ task: Objective, on examples: [Objective.Example], _ title: String,
    _ arguments: TrainingArguments, callbacks: [any TrainerCallback] = []
) async throws -> Trainer<Objective>.Report {
    let trainer = try Trainer(task, examples: examples, arguments: arguments)
    trainer.callbacks = [ProgressBar(title)] + callbacks
    return try await trainer.fit()
}
