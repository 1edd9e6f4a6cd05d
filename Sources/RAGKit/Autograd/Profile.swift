import Synchronization

/// The time of some work by phase and operator, with the arithmetic and the memory traffic that each
/// needed.
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
        /// The work at hand: `forward`, `backward`, `update`, …
        public var phase: String
        /// The operator's name; `between operators` for the rest of a phase.
        public var name: String
        public var calls = 0
        public var seconds = 0.0
        /// Additions and multiplications of matrix products and attention.
        public var operations = 0.0
        /// The bytes that must at least be read and written: inputs once, results once.
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

    /// Counts the work of `body` for `phase`.
    public func phase<Result>(_ phase: String, _ body: () throws -> Result) rethrows -> Result {
        let outer = enter(phase)
        defer { _ = enter(outer) }
        return try body()
    }

    /// Counts the work of `body`, which waits, for `phase`.
    public func phase<Result>(
        _ phase: String, _ body: () async throws -> Result
    ) async rethrows -> Result {
        let outer = enter(phase)
        defer { _ = enter(outer) }
        return try await body()
    }

    /// The counts so far.
    ///
    /// - Parameter peak: The rates of this machine, to compare with.
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
    return try await ForwardContext.$scoped.withValue(context, operation: body)
}

/// Counts the work of `body` for a phase of the running task's profile, if it has one.
func inPhase<Result>(
    _ name: String, _ body: () async throws -> Result
) async rethrows -> Result {
    guard let profile = Profile.current else { return try await body() }
    return try await profile.phase(name, body)
}

/// Counts the work of `body`, which does not wait, for a phase of the running task's profile.
func inPhase<Result>(_ name: String, _ body: () throws -> Result) rethrows -> Result {
    guard let profile = Profile.current else { return try body() }
    return try profile.phase(name, body)
}
