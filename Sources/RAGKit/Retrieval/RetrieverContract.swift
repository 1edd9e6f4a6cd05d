/// What every retriever promises, and a check of each promise: run it against one of your own.
///
///     try await RetrieverContract(queries: queries, passages: 520).verify(retriever)
///
/// The retriever is asked some dozens of times, from one task and from several at once.
public struct RetrieverContract: Sendable {
    /// A promise that a retriever makes.
    public enum Promise: String, Sendable, CaseIterable {
        case oneListForEachQuery = "one list for each query, in their order"
        case atMostCount = "at most as many passages as were asked for"
        case allThatThereAre = "fewer passages only when there are no more"
        case bestFirst = "the best passage first"
        case finiteScores = "finite scores"
        case noPassageTwice = "no passage twice in a list"
        case stableIDs = "one id for one passage, and the same answer to the same query"
        case exclusion = "no passage that the query excludes, and others in its place"
        case concurrency = "the same answer when several tasks ask at once"
        case cancellation = "when its task is cancelled, the right answer or a CancellationError"
    }

    /// A promise that was broken.
    public struct Violation: Error, Equatable, CustomStringConvertible {
        public let promise: Promise
        /// What was found, and where.
        public let detail: String

        public var description: String {
            "the retriever breaks a promise (\(promise.rawValue)): \(detail)"
        }
    }

    /// What is asked; with all that the retriever needs.
    public let queries: [RetrievalQuery]
    /// How many passages the retriever has.
    public let passages: Int
    /// How many are asked for at a time.
    public let count: Int

    /// - Parameters:
    ///   - queries: at least two, with different best passages: a retriever that mixes lists up
    ///     cannot be told from a right one otherwise. What they exclude is not used.
    ///   - passages: how many the retriever has; at least one.
    ///   - count: how many are asked for at a time.
    public init(queries: [RetrievalQuery], passages: Int, count: Int = 5) {
        precondition(
            queries.count >= 2 && passages >= 1 && count >= 1,
            "RetrieverContract: \(queries.count) queries, \(passages) passages and a count of "
                + "\(count); at least 2, 1 and 1 are needed")
        self.queries = queries.map { RetrievalQuery(text: $0.text, vector: $0.vector) }
        self.passages = passages
        self.count = count
    }

    /// Checks every promise.
    ///
    /// - Throws: `Violation` for the first that is broken; `RetrievalError.missingVector` when the
    ///   queries lack what the retriever needs; or what the retriever throws.
    public func verify(_ retriever: any Retriever) async throws {
        if retriever.needs.contains(.vector),
            let query = queries.firstIndex(where: { $0.vector == nil })
        {
            throw RetrievalError.missingVector(query: query)
        }
        let answers = try await ask(retriever, queries, count)
        try await checkCounts(retriever, answers)
        try await checkStability(retriever, answers)
        try await checkExclusion(retriever, answers)
        try await checkConcurrency(retriever, answers)
        try await checkCancellation(retriever, answers)
    }

    /// The first promise that one answer breaks by itself.
    static func violation(
        in found: [[RetrievedPassage]], of queries: [RetrievalQuery], count: Int
    ) -> Violation? {
        guard found.count == queries.count else {
            return Violation(
                promise: .oneListForEachQuery,
                detail: "\(found.count) lists of passages for \(queries.count) questions")
        }
        for (question, list) in found.enumerated() {
            func broken(_ promise: Promise, _ what: String) -> Violation {
                Violation(promise: promise, detail: "\(what), for question \(question)")
            }
            guard list.count <= count else {
                return broken(
                    .atMostCount, "\(list.count) passages where \(count) were asked for")
            }
            var seen: Set<PassageID> = []
            for (place, found) in list.enumerated() {
                let id = found.passage.id
                if !found.score.isFinite {
                    return broken(.finiteScores, "passage \(id) has the score \(found.score)")
                }
                if place > 0, found.score > list[place - 1].score {
                    return broken(
                        .bestFirst,
                        "passage \(id) has the score \(found.score), behind \(list[place - 1].score)"
                    )
                }
                if !seen.insert(id).inserted {
                    return broken(.noPassageTwice, "passage \(id) is there twice")
                }
                if queries[question].excluded.contains(id) {
                    return broken(.exclusion, "passage \(id) is excluded")
                }
            }
        }
        return nil
    }
}

extension Retriever {
    /// The passages for queries, after a look at what of the promises a single answer can break.
    ///
    /// - Throws: `RetrievalError.brokenPromise`, or what the retriever throws.
    public func checkedPassages(
        for queries: [RetrievalQuery], count: Int
    ) async throws -> [[RetrievedPassage]] {
        let found = try await passages(for: queries, count: count)
        if let broken = RetrieverContract.violation(in: found, of: queries, count: count) {
            throw RetrievalError.brokenPromise(broken.detail)
        }
        return found
    }
}
