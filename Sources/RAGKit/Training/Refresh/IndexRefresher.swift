/// Encodes the knowledge base again with the present context encoder and puts the new index in use.
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
    private let store: IndexStore?
    private let kind: any IndexKind
    /// The refreshes that were done, in order.
    public private(set) var reports: [RefreshReport] = []
    /// The last step whose encoder was taken.
    private var lastStep: Int?
    private var background: BackgroundRefresh?
    /// The threads of refreshes in the background, which start with the first of them.
    lazy var backgroundExecutor = OwnThreadExecutor.refresh

    /// - Parameters:
    ///   - retriever: The retriever whose index is replaced; it must be refreshable unless the
    ///     schedule is `.never`.
    ///   - store: Keeps versions on disk; nil keeps the index in memory.
    ///   - kind: The kind of index to build.
    /// - Returns: Nil for the schedule `.never`.
    /// - Throws: `TrainingError.notRefreshable` or `.invalidArgument`.
    public init?(
        _ retriever: (any Retriever)?, schedule: RefreshSchedule, store: IndexStore? = nil,
        kind: any IndexKind = FlatIndexKind()
    ) throws {
        guard let every = schedule.every else { return nil }
        guard every >= 1 else {
            throw TrainingError.invalidArgument(name: "refresh every", rule: "at least 1 step")
        }
        guard let refreshable = retriever?.refreshable else {
            throw TrainingError.notRefreshable(
                retriever: retriever.map { "\(type(of: $0))" } ?? "a model without retriever")
        }
        // An index of a kind that the store could not open again is refused before training.
        _ = try store?.kind(named: kind.name)
        self.retriever = refreshable
        self.schedule = schedule
        self.every = every
        self.store = store
        self.kind = kind
    }

    deinit { background?.task.cancel() }

    /// Refreshes if the schedule says so after `step` optimizer steps; in the background, begins a
    /// refresh and puts one in use that has become ready.
    ///
    /// - Parameters:
    ///   - isLast: True where training ends: the index is made to agree with the encoder.
    ///   - report: Told the progress of a refresh (after each batch; in the background at each call),
    ///     what was put in use, and what failed in the background. Throwing from it stops a refresh
    ///     that the caller waits for.
    /// - Throws: as `refresh`, or what `report` throws.
    public func refreshIfDue(
        step: Int, isLast: Bool, encoder: any TextEncoder, tokenizer: any Tokenizer,
        report: (TrainingEvent) throws -> Void
    ) async throws {
        guard case .background = schedule, !isLast else {
            await cancelBackground()
            guard isDue(step, isLast: isLast) else { return }
            let refreshed = try refresh(step: step, encoder: encoder, tokenizer: tokenizer) {
                try report(.progress($0))
            }
            return try report(.scalars(refreshed.scalars))
        }
        if let background {
            guard background.isReady else { return try report(.progress(background.progress)) }
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

    /// Cancels a running refresh: its result would be stale, and the store takes one version at a
    /// time.
    private func cancelBackground() async {
        guard let old = background else { return }
        background = nil
        lastStep = nil
        old.task.cancel()
        _ = await old.task.result
    }

    /// Puts in use the index that was built in the background.
    private func finish(_ ready: BackgroundRefresh, _ step: Int) async -> TrainingEvent {
        background = nil
        do {
            return .scalars(try publish(try await ready.task.value, inUseFrom: step).scalars)
        } catch {
            return .failed(step: ready.step, name: "refresh", reason: "\(error)")
        }
    }

    /// Builds a new index now and puts it in use.
    ///
    /// - Parameter progress: Called after each batch; throwing from it stops the work.
    /// - Throws: What encoding, the store or `progress` throws; the old index is then still in use.
    public func refresh(
        step: Int, encoder: any TextEncoder, tokenizer: any Tokenizer,
        progress: (TrainingProgress) throws -> Void = { _ in }
    ) throws -> RefreshReport {
        let work = work(step, encoder, tokenizer)
        let built = try work.run { try progress(work.progress($0)) }
        let report = try publish(built, inUseFrom: step)
        lastStep = step
        return report
    }

    private func work(
        _ step: Int, _ encoder: any TextEncoder, _ tokenizer: any Tokenizer
    ) -> RefreshWork {
        RefreshWork(
            step: step, encoder: encoder.snapshot(), tokenizer: tokenizer, retriever: retriever,
            store: store, kind: kind)
    }

    private func publish(_ built: BuiltIndex, inUseFrom step: Int) throws -> RefreshReport {
        try retriever.publish(built.version)
        let report = RefreshReport(
            step: built.version.step, inUseFrom: step, version: built.version.number,
            passages: built.version.index.count, seconds: built.seconds, drift: built.drift)
        reports.append(report)
        return report
    }
}
