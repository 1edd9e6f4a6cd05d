import Foundation
import Testing

@testable import RAGKit

@Suite struct LearningRateScheduleTests {
    private let schedules: [LearningRateSchedule] = [
        .constant, .linear, .polynomial(), .polynomial(power: 2, endFactor: 0.1),
    ]

    /// The formulas of transformers' `optimization.py`, for every step of runs of some lengths.
    @Test(arguments: [0, 1, 4, 10], [1, 4, 10, 25])
    func formulas(warmup: Int, total: Int) {
        for schedule in schedules {
            for step in 0...total + 3 {
                let expected: Double
                if step < warmup {
                    expected = Double(step) / Double(warmup)
                } else {
                    let progress = Double(step - warmup) / Double(max(1, total - warmup))
                    switch schedule {
                    case .constant: expected = 1
                    case .linear: expected = max(0, 1 - progress)
                    case .polynomial(let power, let end):
                        expected =
                            step > total ? end : (1 - end) * pow(max(0, 1 - progress), power) + end
                    }
                }
                // A run that is no longer than its warm-up is over where the fall would begin.
                guard step < warmup || total > warmup else { continue }
                let found = schedule.factor(step: step, warmupSteps: warmup, totalSteps: total)
                #expect(abs(found - expected) < 1e-12, "\(schedule), step \(step)")
            }
        }
    }

    @Test func edges() {
        for schedule in schedules {
            #expect(schedule.factor(step: 0, warmupSteps: 4, totalSteps: 10) == 0)
            #expect(schedule.factor(step: 4, warmupSteps: 4, totalSteps: 10) == 1)
            for step in 0...20 {
                let factor = schedule.factor(step: step, warmupSteps: 9, totalSteps: 9)
                #expect((0...1).contains(factor))
            }
        }
        #expect(LearningRateSchedule.linear.factor(step: 10, warmupSteps: 0, totalSteps: 10) == 0)
        let published = TrainingArguments.ragEnd2EndSQuAD
        let last = published.lrSchedulerType.factor(step: 900, warmupSteps: 500, totalSteps: 900)
        expectClose(published.learningRate * last, 1e-7, relative: 1e-9)
    }
}
