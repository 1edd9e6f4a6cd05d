public import Foundation

/// An event in the course of a training run.
///
/// Events hold nothing of any particular model: a task reports its own news as scalars and progress.
public enum TrainingEvent: Sendable {
    /// Training begins.
    case started(totalSteps: Int, trainableParameters: Int)
    /// An optimizer step was made.
    case step(StepReport)
    /// The model was validated after `step` steps.
    case evaluated(step: Int, metrics: [String: Double], isBest: Bool)
    /// The task reports numbers.
    case scalars(TrainingScalars)
    /// Longer work is under way: reported after each part of it, or, where training goes on
    /// meanwhile, after each step.
    case progress(TrainingProgress)
    /// Work named `name`, begun after `step` steps, failed, and training goes on without its result.
    case failed(step: Int, name: String, reason: String)
    /// A model was written.
    case saved(step: Int, directory: URL)
    /// Training ended.
    case finished(step: Int, seconds: Double)
}

extension TrainingEvent {
    /// The event in the words of transformers' logs; nil where there is nothing to log.
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
        case .scalars(let scalars):
            var json: JSONValue = ["event": .string(scalars.name), "step": .int(scalars.step)]
            let own = ["event", "step"]
            for name in scalars.values.keys.sorted() where !own.contains(name) {
                json[name] = scalars.values[name].map {
                    Int(exactly: $0).map { .int($0) } ?? .double($0)
                }
            }
            return json
        case .progress: return nil
        case .failed(let step, let name, let reason):
            return [
                "event": .string("\(name)_failed"), "step": .int(step), "reason": .string(reason),
            ]
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
