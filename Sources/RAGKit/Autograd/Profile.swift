import RAGKitBLAS
import Synchronization

/// Where the time of some work goes: by phase and operator, with the arithmetic and the memory
/// traffic each needed.
///
///     let profile = Profile()
///     try await withProfile(profile) { try await trainer.fit() }
///     print(profile.report(peak: .measured()))
///
/// Time is taken between the ends of two operators and counted for the later one, so that what
/// surrounds an operator is part of it. Operators of one task at a time can be told apart.
public final class Profile: Sendable {
    /// One operator in one phase.
    public struct Row: Sendable, Equatable {
        /// What was being done: `forward`, `backward`, `update`, …
        public var phase: String
        /// The operator's name; `between operators` for what came after the last one of a phase.
        public var name: String
        public var calls = 0
        public var seconds = 0.0
        /// Additions and multiplications of matrix products and attention.
        public var operations = 0.0
        /// What must at least be read and written: inputs once, results once.
        public var bytes = 0.0
    }

    private struct Key: Hashable {
        var phase: String
        var name: String
    }

    private struct State {
        var phase = "other"
        var last = ContinuousClock.now
        var operations = 0.0
        var rows: [Key: Row] = [:]
        var tokens = 0
        var savedTokens = 0

        mutating func mark(_ name: String, bytes: Double, calls: Int) {
            let now = ContinuousClock.now
            let seconds = (now - last) / .seconds(1)
            let key = Key(phase: phase, name: name)
            var row = rows[key] ?? Row(phase: phase, name: name)
            row.calls += calls
            row.seconds += seconds
            row.operations += operations
            row.bytes += bytes
            rows[key] = row
            (last, operations) = (now, 0)
        }
    }
    private let state = Mutex(State())

    public init() {}

    /// The profile of the running task.
    static var current: Profile? { ForwardContext.current.profile }

    /// Ends an operator that reads and writes so many elements.
    func mark(_ name: String, elements: Int) {
        let bytes = Double(elements * MemoryLayout<Float>.stride)
        state.withLock { $0.mark(name, bytes: bytes, calls: 1) }
    }

    /// Arithmetic of the operator that ends next.
    func add(operations: Double) { state.withLock { $0.operations += operations } }

    /// Tokens that a model computes states for.
    func add(tokens: Int) { state.withLock { $0.tokens += tokens } }

    /// Tokens that would have been computed had every passage of a batch been encoded each time it
    /// was found.
    func add(savedTokens: Int) { state.withLock { $0.savedTokens += savedTokens } }

    /// Begins a phase; returns the one that was.
    private func enter(_ phase: String) -> String {
        state.withLock { state in
            state.mark(Self.rest, bytes: 0, calls: 0)
            defer { state.phase = phase }
            return state.phase
        }
    }

    private static let rest = "between operators"

    /// Counts what `body` does for `phase`.
    public func phase<Result>(_ phase: String, _ body: () throws -> Result) rethrows -> Result {
        let outer = enter(phase)
        defer { _ = enter(outer) }
        return try body()
    }

    /// As the other `phase`, for work that waits.
    public func phase<Result>(
        _ phase: String, _ body: () async throws -> Result
    ) async rethrows -> Result {
        let outer = enter(phase)
        defer { _ = enter(outer) }
        return try await body()
    }

    /// What was counted so far.
    ///
    /// - Parameter peak: of this machine, to compare with.
    public func report(peak: MachinePeak? = nil) -> ProfileReport {
        state.withLock { state in
            ProfileReport(
                rows: state.rows.values.sorted { $0.seconds > $1.seconds },
                tokens: state.tokens, savedTokens: state.savedTokens, peak: peak)
        }
    }

    /// Time counts from now on.
    fileprivate func start() { state.withLock { $0.last = .now } }

    /// Time counts up to now.
    fileprivate func stop() { state.withLock { $0.mark(Self.rest, bytes: 0, calls: 0) } }
}

/// Runs `body` and counts its work in `profile`.
public func withProfile<Result>(
    _ profile: Profile?, _ body: () async throws -> Result
) async rethrows -> Result {
    var context = ForwardContext.current
    context.profile = profile
    profile?.start()
    defer { profile?.stop() }
    return try await ForwardContext.$current.withValue(context, operation: body)
}

/// Counts what `body` does for a phase of the running task's profile, if it has one.
func inPhase<Result>(
    _ name: String, _ body: () async throws -> Result
) async rethrows -> Result {
    guard let profile = Profile.current else { return try await body() }
    return try await profile.phase(name, body)
}

/// As the other `inPhase`, for work that does not wait.
func inPhase<Result>(_ name: String, _ body: () throws -> Result) rethrows -> Result {
    guard let profile = Profile.current else { return try body() }
    return try profile.phase(name, body)
}

/// How fast this machine multiplies and reads at best, as found by doing it.
public struct MachinePeak: Sendable, Equatable {
    /// Additions and multiplications in a second, in units of 10⁹: a large Float32 product.
    public var gflops: Double
    /// Bytes in a second, in units of 10⁹: reading two long vectors and writing one.
    public var gigabytes: Double

    public init(gflops: Double, gigabytes: Double) {
        self.gflops = gflops
        self.gigabytes = gigabytes
    }

    /// Measures both, in about a second.
    public static func measured() -> MachinePeak {
        func best(_ body: () -> Void) -> Double {
            (0..<5).map { _ in ContinuousClock().measure(body) / .seconds(1) }.min() ?? .infinity
        }
        let size = 1536
        let a = Tensor.full([size, size], 1)
        let product = Tensor(shape: [size, size]) { _ in }
        let multiplying = best {
            ragkit_gemm(
                false, true, size, size, size, 1, a.pointer, size, a.pointer, size, 0,
                product.writablePointer, size)
        }
        let count = 16 << 20
        let x = Tensor.full([count], 1)
        let y = Tensor.full([count], 1)
        let reading = best { ragkit_axpy(count, 0.5, x.pointer, y.writablePointer) }
        return MachinePeak(
            gflops: 2e-9 * Double(size * size * size) / multiplying,
            gigabytes: 12e-9 * Double(count) / reading)
    }
}

/// What a `Profile` counted.
public struct ProfileReport: Sendable, Equatable, CustomStringConvertible {
    /// The longest first.
    public var rows: [Profile.Row]
    /// How many tokens models computed states for, over all of their layers at once.
    public var tokens: Int
    /// How many were saved by encoding a passage once that was found for several questions.
    public var savedTokens: Int
    public var peak: MachinePeak?

    public var seconds: Double { rows.reduce(0) { $0 + $1.seconds } }

    /// Seconds of each phase, the longest first.
    public var phases: [(name: String, seconds: Double)] {
        var sums: [String: Double] = [:]
        for row in rows { sums[row.phase, default: 0] += row.seconds }
        return sums.map { ($0.key, $0.value) }.sorted { $0.seconds > $1.seconds }
    }

    /// Two tables: phases, and operators with what they reached.
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
