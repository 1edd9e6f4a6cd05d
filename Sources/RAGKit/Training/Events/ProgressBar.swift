import Foundation

/// Shows progress on standard error: one line that moves on a terminal, a line now and then
/// elsewhere.
public final class ProgressBar: TrainerCallback {
    private let isTerminal: Bool
    private let title: String
    private let linesEvery: Double
    private var began = Date()
    private var lastShown = Date.distantPast
    private var lastStep: StepReport?
    /// Longer work under way.
    private var work: TrainingProgress?

    /// - Parameters:
    ///   - title: A word in front of the numbers.
    ///   - linesEvery: Seconds between lines where standard error is not a terminal.
    public init(_ title: String = "train", linesEvery: Double = 10) {
        isTerminal = isatty(2) == 1
        self.title = title
        self.linesEvery = linesEvery
    }

    public func handle(_ event: TrainingEvent) {
        switch event {
        case .started: began = Date()
        case .step(let report):
            lastStep = report
            show(isLast: report.step == report.totalSteps)
        case .progress(let progress):
            work = progress.completed < progress.total ? progress : nil
            show(isLast: false)
        case .evaluated(let step, let metrics, _):
            let values = metrics.keys.sorted().map { "\($0) \(Self.short(metrics[$0] ?? 0))" }
            write("step \(step): " + values.joined(separator: "  "))
        case .scalars(let scalars):
            work = nil
            let values = scalars.values.keys.sorted()
                .map { "\($0) \(Self.short(scalars.values[$0] ?? 0))" }
            write("step \(scalars.step): \(scalars.name): " + values.joined(separator: "  "))
        case .failed(let step, let name, let reason):
            work = nil
            write("step \(step): \(name) failed, training goes on without it: \(reason)")
        case .saved, .finished: break
        }
    }

    private func show(isLast: Bool) {
        guard let report = lastStep else { return }
        let pause = isTerminal ? 0.1 : linesEvery
        guard isLast || Date().timeIntervalSince(lastShown) >= pause else { return }
        lastShown = Date()
        let elapsed = Date().timeIntervalSince(began)
        let rate = Double(report.step) / max(elapsed, 1e-9)
        let left = Double(report.totalSteps - report.step) / max(rate, 1e-9)
        let share = Double(report.step) / Double(max(1, report.totalSteps))
        let filled = Int(share * 20)
        let bar =
            String(repeating: "█", count: filled) + String(repeating: "·", count: 20 - filled)
        let line =
            "\(title) \(bar) \(report.step)/\(report.totalSteps) "
            + "[\(Self.clock(elapsed))<\(Self.clock(left)), \(Self.short(rate)) steps/s, "
            + "loss \(Self.short(report.loss))\(working)]"
        if isTerminal {
            FileHandle.standardError.write(Data("\r\u{1B}[K\(line)\(isLast ? "\n" : "")".utf8))
        } else {
            FileHandle.standardError.write(Data("\(line)\n".utf8))
        }
    }

    private var working: String {
        guard let work, work.total > 0 else { return "" }
        return ", \(work.name) \(100 * work.completed / work.total) %"
    }

    private func write(_ line: String) {
        FileHandle.standardError.write(Data(((isTerminal ? "\r\u{1B}[K" : "") + line + "\n").utf8))
    }

    private static func clock(_ seconds: Double) -> String {
        let whole = Int(min(seconds, 360_000))
        let rest = whole % 60
        return "\(whole / 60):\(rest < 10 ? "0" : "")\(rest)"
    }

    private static func short(_ value: Double) -> String {
        value.isFinite ? "\((value * 1000).rounded() / 1000)" : "\(value)"
    }
}
