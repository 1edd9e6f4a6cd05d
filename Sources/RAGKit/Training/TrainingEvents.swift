import Foundation

/// What happens while a trainer runs.
public enum TrainingEvent: Sendable {
    /// Training begins.
    case started(totalSteps: Int, trainableParameters: Int)
    /// An optimizer step was made.
    case step(StepReport)
    /// The model was validated after `step` steps.
    case evaluated(step: Int, metrics: [String: Double], isBest: Bool)
    /// A new index is being made: told after each batch of passages, or, where training goes on
    /// meanwhile, after each step.
    case refreshing(RefreshProgress)
    /// A new index is in use.
    case refreshed(RefreshReport)
    /// The index could not be made anew in the background with the encoder of `step`: the old one
    /// stays in use.
    case refreshFailed(step: Int, reason: String)
    /// A checkpoint was written.
    case saved(step: Int, directory: URL)
    /// Training ended.
    case finished(step: Int, seconds: Double)
}

/// One optimizer step.
public struct StepReport: Sendable, Equatable {
    /// Counted from 1.
    public var step: Int
    public var totalSteps: Int
    /// How often the examples were gone through.
    public var epoch: Double
    /// The mean per target token, in nats.
    public var loss: Double
    public var learningRate: Double
    /// The norm of all gradients before clipping.
    public var gradNorm: Double
    /// Seconds for the step.
    public var seconds: Double
    public var targetTokens: Int
}

/// Listens to a trainer.
public protocol TrainerCallback: AnyObject {
    /// Called as things happen, in order, on the thread that trains. Throwing stops training.
    func handle(_ event: TrainingEvent) throws
}

/// Calls a closure for each event.
///
/// The closure is `@Sendable` since it runs on the thread that trains, wherever it was written. What a
/// run came to need not be gathered with it: ``Trainer/Report`` has losses, evaluations and refreshes.
public final class EventHandler: TrainerCallback {
    private let body: @Sendable (TrainingEvent) throws -> Void

    public init(_ body: @escaping @Sendable (TrainingEvent) throws -> Void) { self.body = body }

    public func handle(_ event: TrainingEvent) throws { try body(event) }
}

/// Writes each event as a line of JSON, at once.
public final class MetricsFile: TrainerCallback {
    private let handle: FileHandle

    /// - Throws: when the file cannot be made; its directory must exist. An old file goes on.
    public init(_ url: URL) throws {
        if !FileManager.default.fileExists(atPath: url.path) {
            try AtomicFile.write("", to: url)
        }
        handle = try FileHandle(forWritingTo: url)
        try handle.seekToEnd()
    }

    deinit { try? handle.close() }

    public func handle(_ event: TrainingEvent) throws {
        guard let json = event.json else { return }
        try handle.write(contentsOf: Data((json.text(indent: nil) + "\n").utf8))
    }
}

extension TrainingEvent {
    /// The event in the words of transformers' logs; `nil` where there is nothing to log.
    var json: JSONValue? {
        switch self {
        case .started(let steps, let parameters):
            return ["event": "started", "max_steps": .int(steps), "parameters": .int(parameters)]
        case .step(let report):
            return [
                "event": "step", "step": .int(report.step), "epoch": .double(report.epoch),
                "loss": .double(report.loss), "learning_rate": .double(report.learningRate),
                "grad_norm": .double(report.gradNorm), "seconds": .double(report.seconds),
                "target_tokens": .int(report.targetTokens),
            ]
        case .evaluated(let step, let metrics, let isBest):
            var json: JSONValue = [
                "event": "evaluated", "step": .int(step), "is_best": .bool(isBest),
            ]
            for name in metrics.keys.sorted() {
                json["eval_\(name)"] = metrics[name].map { .double($0) }
            }
            return json
        case .refreshing: return nil
        case .refreshed(let report):
            return [
                "event": "refreshed", "step": .int(report.step),
                "in_use_from": .int(report.inUseFrom),
                "index_version": .int(report.version), "seconds": .double(report.seconds),
                "drift": .double(report.drift),
            ]
        case .refreshFailed(let step, let reason):
            return ["event": "refresh_failed", "step": .int(step), "reason": .string(reason)]
        case .saved(let step, let directory):
            return [
                "event": "saved", "step": .int(step),
                "directory": .string(directory.lastPathComponent),
            ]
        case .finished(let step, let seconds):
            return ["event": "finished", "step": .int(step), "seconds": .double(seconds)]
        }
    }
}
