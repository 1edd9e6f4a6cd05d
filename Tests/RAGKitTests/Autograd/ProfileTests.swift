import Testing

@testable import RAGKit

@Suite struct ProfileTests {
    private func random(_ shape: [Int], _ seed: UInt64) -> Tensor {
        var numbers = SeededGenerator(seed: seed)
        return .randomNormal(shape, using: &numbers)
    }

    /// Calls, arithmetic and traffic of a product, forward and back, in the phases they were in.
    @Test func countsWhatOperatorsDo() async {
        let profile = Profile()
        await withProfile(profile) {
            let (x, weight) = (random([7, 5], 1).variable(), random([3, 5], 2).variable())
            let y = inPhase("forward") { x.linear(weight).linear(random([4, 3], 3)).sum() }
            _ = inPhase("backward") { gradients(of: y, for: [x, weight]) }
        }
        let report = profile.report()
        func row(_ phase: String, _ name: String) -> Profile.Row? {
            report.rows.first { $0.phase == phase && $0.name == name }
        }
        let forward = row("forward", "linear")
        #expect(forward?.calls == 2)
        // 2 · 7 · 5 · 3 and 2 · 7 · 3 · 4; of 35 + 15 + 21 and 21 + 12 + 28 numbers.
        #expect(forward?.operations == 378)
        #expect(forward?.bytes == 528)
        let backward = row("backward", "linear")
        #expect(backward?.calls == 2)
        // Of the second product's constant weight no gradient is asked.
        #expect(backward?.operations == 588)
        #expect(row("forward", "sum")?.operations == 0)
        #expect(report.rows.allSatisfy { $0.seconds >= 0 })
        #expect(report.description.contains("linear"))
    }

    @Test func attentionCountsThePairsItSees() async {
        let profile = Profile()
        await withProfile(profile) {
            let rows = random([5, 8], 4)
            _ = Tensor.attention(
                rows, rows, rows, segments: SegmentMap(selfAttention: [0, 2, 5]), heads: 2,
                scale: 1)
        }
        let row = profile.report().rows.first { $0.name == "attention" }
        // 4 · (2 · 2 + 3 · 3) pairs · 8.
        #expect(row?.operations == 416)
    }

    /// Phases inside phases come back to the outer one, also when something is thrown.
    @Test func phasesNest() throws {
        struct Stop: Error {}
        let profile = Profile()
        profile.phase("outer") {
            #expect(throws: Stop.self) { try profile.phase("inner") { throw Stop() } }
            profile.mark("late", elements: 0)
        }
        let rows = profile.report().rows
        #expect(rows.contains { $0.phase == "outer" && $0.name == "late" })
        #expect(rows.contains { $0.phase == "inner" })
        #expect(Set(rows.map(\.phase)) == ["outer", "inner", "other"])
    }

    /// A whole run: every phase of the trainer, and the tokens of the encoders. Questions 0 and 2
    /// find one passage in common, which is encoded once.
    @Test func aTrainingRun() async throws {
        let profile = Profile()
        let model = try TinyRag.model()
        let report = try await withProfile(profile) {
            let task = try RagTrainingTask(model, refresh: .blocking(every: 1))
            task.validation = TinyRag.examples
            var arguments = TrainingArguments()
            arguments.maxSteps = 1
            arguments.trainBatchSize = 3
            _ = try await Trainer(task, examples: TinyRag.examples, arguments: arguments).fit()
            return profile.report(peak: MachinePeak(gflops: 100, gigabytes: 10))
        }
        let phases = Set(report.phases.map(\.name))
        #expect(
            phases.isSuperset(of: [
                "prepare", "forward", "backward", "update", "refresh", "validation",
            ]))
        let updates = report.rows.filter { $0.phase == "update" }
        let size = Double(model.parameterCount)
        #expect(updates.first { $0.name == "AdamW" }?.bytes == 28 * size)
        #expect(updates.first { $0.name == "norm" }?.bytes == 4 * size)
        #expect(report.tokens > 300)
        #expect(report.savedTokens > 0)
        #expect(report.description.contains("100.0 GFLOP/s in a large Float32 product"))
        let all = report.phases.reduce(0) { $0 + $1.seconds }
        #expect(abs(all - report.seconds) < 1e-9)
    }

    /// Time outside, such as that of measuring the machine for the report, is not the work's.
    @Test func timeOutsideDoesNotCount() async throws {
        let profile = Profile()
        try await Task.sleep(for: .milliseconds(200))
        await withProfile(profile) { _ = random([3, 3], 1) + random([3, 3], 2) }
        try await Task.sleep(for: .milliseconds(200))
        #expect(profile.report().seconds < 0.2)
    }

    @Test func withoutOneNothingIsCounted() {
        #expect(Profile.current == nil)
        #expect(inPhase("any") { Profile.current == nil })
    }

    @Test func theMachineIsMeasured() {
        let peak = MachinePeak.measured()
        #expect(peak.gflops > 0.01 && peak.gflops < 1e6)
        #expect(peak.gigabytes > 0.01 && peak.gigabytes < 1e5)
    }
}
