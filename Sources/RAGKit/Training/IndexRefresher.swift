/// When the index is made anew, counted in optimizer steps.
public enum RefreshSchedule: Sendable, Equatable {
    /// The index stays as it was at the start.
    case never
    /// After every so many steps, training waits until the new index is in use. A last refresh at
    /// the end makes index and encoder agree.
    case blocking(every: Int)
    /// After every so many steps a new index is begun, unless the one before is not ready yet, on
    /// threads of low priority (a quarter as many as training has, at least one) while training goes
    /// on. It is in use from the first step that begins after it is ready: which step that is, and so
    /// the run's result, depends on the machine's speed. The last refresh is done as with `blocking`.
    case background(every: Int)

    fileprivate var every: Int? {
        switch self {
        case .never: nil
        case .blocking(let every), .background(let every): every
        }
    }
}

/// A refresh that was done.
public struct RefreshReport: Sendable, Equatable {
    /// The optimizer step whose context encoder made the vectors.
    public var step: Int
    /// How many optimizer steps were made when it came into use: more than `step` if training went on
    /// meanwhile.
    public var inUseFrom: Int
    /// The number of the version now in use.
    public var version: Int
    public var passages: Int
    public var seconds: Double
    /// How far the vectors moved: the root mean square of the differences over that of the old
    /// vectors.
    public var drift: Double
}

/// How far a refresh is.
public struct RefreshProgress: Sendable, Equatable {
    /// The optimizer step whose context encoder is in use.
    public var step: Int
    /// Passages that are encoded.
    public var passages: Int
    /// Passages of the knowledge base.
    public var totalPassages: Int
}

/// Encodes the knowledge base anew with the present context encoder and puts the new index in use.
///
/// The encoder is copied (sharing its values), and runs in evaluation mode without a tape. Searches
/// see the old index or the new one, whole. With a store, each version is also written to the run's
/// directory before it is used.
///
/// Used from one task at a time.
public final class IndexRefresher {
    public let schedule: RefreshSchedule
    private let every: Int
    private let retriever: any RefreshableRetriever
    private let store: IndexVersionStore?
    /// The last step whose encoder was taken.
    private var lastStep: Int?
    private var background: BackgroundRefresh?
    /// Has the threads of refreshes in the background, which start with the first of them.
    lazy var backgroundExecutor = OwnThreadExecutor.refresh

    /// - Parameters:
    ///   - retriever: whose index is replaced; must be a `RefreshableRetriever` unless the schedule
    ///     is `.never`.
    ///   - store: where versions are kept.
    /// - Returns: `nil` for the schedule `.never`.
    /// - Throws: `TrainingError.notRefreshable` or `.invalidArgument`.
    public init?(
        _ retriever: (any Retriever)?, schedule: RefreshSchedule, store: IndexVersionStore? = nil
    ) throws {
        guard let every = schedule.every else { return nil }
        guard every >= 1 else {
            throw TrainingError.invalidArgument(name: "refresh every", rule: "at least 1 step")
        }
        guard let refreshable = retriever as? any RefreshableRetriever else {
            throw TrainingError.notRefreshable(
                retriever: retriever.map { "\(type(of: $0))" } ?? "a model without retriever")
        }
        self.retriever = refreshable
        self.schedule = schedule
        self.every = every
        self.store = store
    }

    deinit { background?.task.cancel() }

    /// Refreshes if the schedule says so after `step` optimizer steps; in the background, begins a
    /// refresh and puts one in use that has become ready.
    ///
    /// - Parameters:
    ///   - isLast: training ends here: the index is made to agree with the encoder.
    ///   - report: told how far a refresh is (after each batch; in the background at each call), what
    ///     was put in use, and what failed in the background. Throwing from it stops a refresh that
    ///     the caller waits for.
    /// - Throws: as `refresh`, or what `report` throws.
    public func refreshIfDue(
        step: Int, isLast: Bool, encoder: any TextEncoder, tokenizer: any Tokenizer,
        report: (TrainingEvent) throws -> Void
    ) async throws {
        guard case .background = schedule, !isLast else {
            await cancelBackground()
            guard isDue(step, isLast: isLast) else { return }
            let refreshed = try refresh(step: step, encoder: encoder, tokenizer: tokenizer) {
                try report(.refreshing($0))
            }
            return try report(.refreshed(refreshed))
        }
        if let background {
            guard background.isReady else { return try report(.refreshing(background.progress)) }
            try report(await finish(background, step))
        }
        if isDue(step, isLast: false) {
            lastStep = step
            background = BackgroundRefresh(
                work(step, encoder, tokenizer), on: backgroundExecutor)
        }
    }

    private func isDue(_ step: Int, isLast: Bool) -> Bool {
        step != lastStep && (isLast || (step > 0 && step % every == 0))
    }

    /// What is being made would be old at once, and the store takes one version at a time.
    private func cancelBackground() async {
        guard let old = background else { return }
        background = nil
        lastStep = nil
        old.task.cancel()
        _ = await old.task.result
    }

    /// Puts in use what the background has made.
    private func finish(_ ready: BackgroundRefresh, _ step: Int) async -> TrainingEvent {
        background = nil
        do {
            return .refreshed(try publish(try await ready.task.value, inUseFrom: step))
        } catch {
            return .refreshFailed(step: ready.step, reason: "\(error)")
        }
    }

    /// Makes a new index now and puts it in use.
    ///
    /// - Parameter progress: called after each batch; throwing from it stops the work.
    /// - Throws: what encoding, the store or `progress` throws; the old index is then still in use.
    public func refresh(
        step: Int, encoder: any TextEncoder, tokenizer: any Tokenizer,
        progress: (RefreshProgress) throws -> Void = { _ in }
    ) throws -> RefreshReport {
        let work = work(step, encoder, tokenizer)
        let made = try work.run { try progress(work.progress($0)) }
        let report = try publish(made, inUseFrom: step)
        lastStep = step
        return report
    }

    private func work(
        _ step: Int, _ encoder: any TextEncoder, _ tokenizer: any Tokenizer
    ) -> RefreshWork {
        RefreshWork(
            step: step, encoder: encoder.snapshot(), tokenizer: tokenizer, retriever: retriever,
            store: store)
    }

    private func publish(_ made: MadeIndex, inUseFrom step: Int) throws -> RefreshReport {
        let number = made.number ?? retriever.version.number + 1
        try retriever.publish(
            IndexVersion(index: made.index, step: made.step, number: number))
        return RefreshReport(
            step: made.step, inUseFrom: step, version: number, passages: made.index.count,
            seconds: made.seconds, drift: made.drift)
    }
}

extension TextEncoder {
    /// A digest of all weights: names the encoder that made an index. The same bits give the same
    /// digest in every process.
    var fingerprint: String {
        var checksum = CRC32C()
        for (name, parameter) in namedValues() {
            Array(name.utf8).withUnsafeBytes { checksum.update($0) }
            parameter.value.withUnsafeElements { checksum.update(UnsafeRawBufferPointer($0)) }
        }
        return String(checksum.value, radix: 16)
    }
}
