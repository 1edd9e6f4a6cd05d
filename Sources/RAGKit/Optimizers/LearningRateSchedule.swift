import Foundation

/// The course of the learning rate over a run, as a factor of its peak.
///
/// Each begins with a linear warm-up from 0 over `warmupSteps` optimizer steps.
///
/// Source: the schedules of transformers' `optimization.py`.
public enum LearningRateSchedule: Sendable, Equatable {
    /// Stays at the peak.
    case constant
    /// Falls in a straight line to 0 at the last step.
    case linear
    /// Falls to `endFactor` of the peak as a power of what is left, and stays there.
    case polynomial(power: Double = 1, endFactor: Double = 0)

    /// The factor for the update that follows `step` updates.
    ///
    /// - Parameters:
    ///   - step: updates made before, from 0.
    ///   - totalSteps: the updates of the whole run.
    public func factor(step: Int, warmupSteps: Int, totalSteps: Int) -> Double {
        if step < warmupSteps { return Double(step) / Double(max(1, warmupSteps)) }
        let span = Double(max(1, totalSteps - warmupSteps))
        let left = max(0, Double(totalSteps - step) / span)
        switch self {
        case .constant: return 1
        case .linear: return left
        case .polynomial(let power, let end):
            return step > totalSteps ? end : (1 - end) * pow(left, power) + end
        }
    }
}
