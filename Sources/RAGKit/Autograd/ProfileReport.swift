/// The counts of a ``Profile``.
public struct ProfileReport: Sendable, Equatable, CustomStringConvertible {
    /// The longest first.
    public var rows: [Profile.Row]
    /// The number of tokens that models computed states for, over all of their layers at once.
    public var tokens: Int
    /// The number of tokens saved by encoding a passage once that was found for several questions.
    public var savedTokens: Int
    public var peak: MachinePeak?

    public var seconds: Double { rows.reduce(0) { $0 + $1.seconds } }

    /// Seconds of each phase, the longest first.
    public var phases: [(name: String, seconds: Double)] {
        var sums: [String: Double] = [:]
        for row in rows { sums[row.phase, default: 0] += row.seconds }
        return sums.map { ($0.key, $0.value) }.sorted { $0.seconds > $1.seconds }
    }

    /// Two tables: phases, and operators with the rates they reached.
    public var description: String {
        let all = max(seconds, .leastNormalMagnitude)
        func share(_ seconds: Double) -> String { decimal(100 * seconds / all, 1) + " %" }
        var lines = [pad("phase", 28) + lead("seconds", 10) + lead("share", 9)]
        for (name, seconds) in phases {
            lines.append(pad(name, 28) + lead(decimal(seconds, 3), 10) + lead(share(seconds), 9))
        }
        lines += [
            "",
            pad("phase", 14) + pad("operator", 28) + lead("calls", 9) + lead("seconds", 10)
                + lead("share", 9) + lead("GFLOP/s", 10) + lead("GB/s", 8),
        ]
        for row in rows where row.seconds >= 0.001 * all {
            let rate = row.operations > 0 ? decimal(row.operations / row.seconds * 1e-9, 1) : "-"
            let traffic = row.bytes > 0 ? decimal(row.bytes / row.seconds * 1e-9, 1) : "-"
            lines.append(
                pad(row.phase, 14) + pad(row.name, 28) + lead("\(row.calls)", 9)
                    + lead(decimal(row.seconds, 3), 10) + lead(share(row.seconds), 9)
                    + lead(rate, 10) + lead(traffic, 8))
        }
        let operations = rows.reduce(0) { $0 + $1.operations }
        lines.append("")
        lines.append(
            "\(decimal(operations * 1e-9, 1)) GFLOP in products, "
                + "\(decimal(operations / all * 1e-9, 1)) GFLOP/s over all")
        if let peak {
            lines.append(
                "this machine: \(decimal(peak.gflops, 1)) GFLOP/s in a large Float32 product, "
                    + "\(decimal(peak.gigabytes, 1)) GB/s")
        }
        lines.append("\(tokens) tokens computed, \(savedTokens) saved by encoding a passage once")
        return lines.joined(separator: "\n")
    }

    private func decimal(_ value: Double, _ places: Int) -> String {
        guard value.isFinite, abs(value) < 1e15 else { return "-" }
        let scale = places == 1 ? 10.0 : 1000.0
        let whole = Int((value * scale).rounded())
        let fraction = "\(abs(whole) % Int(scale))"
        return "\(whole / Int(scale))."
            + String(repeating: "0", count: places - fraction.count) + fraction
    }

    private func pad(_ text: String, _ width: Int) -> String {
        text + String(repeating: " ", count: max(1, width - text.count))
    }

    private func lead(_ text: String, _ width: Int) -> String {
        String(repeating: " ", count: max(1, width - text.count)) + text
    }
}
