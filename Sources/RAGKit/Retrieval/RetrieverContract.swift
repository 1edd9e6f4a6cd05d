/// The promises of every retriever, with a check of each: run it against one of your own.
///
///     let queries = RetrievalQueries(texts: ["Who?", "Where?"])
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
        case vectors = "either no vectors, or a finite vector of each passage that was found"
        case source = "ids that are those of the knowledge base that the result names"
        case refreshable =
            "passages of an index version only from a retriever that can be refreshed"
    }

    /// A promise that was broken.
    public struct Violation: Error, Equatable, CustomStringConvertible {
        public let promise: Promise
        /// The finding, and its place.
        public let detail: String

        public var description: String {
            "the retriever breaks a promise (\(promise.rawValue)): \(detail)"
        }
    }

    /// The queries that are asked, with all that the retriever needs.
    public let queries: RetrievalQueries
    /// The number of passages that the retriever has.
    public let passages: Int
    /// The number of passages asked for at a time.
    public let count: Int

    /// - Parameters:
    ///   - queries: at least two, with different best passages: a retriever that mixes lists up
    ///     cannot be told from a right one otherwise. What they exclude is not used.
    ///   - passages: how many the retriever has; at least one.
    ///   - count: how many are asked for at a time.
    public init(queries: RetrievalQueries, passages: Int, count: Int = 5) {
        precondition(
            queries.count >= 2 && passages >= 1 && count >= 1,
            "RetrieverContract: \(queries.count) queries, \(passages) passages and a count of "
                + "\(count); at least 2, 1 and 1 are needed")
        self.queries = queries.excluding(queries.texts.map { _ in [] })
        self.passages = passages
        self.count = count
    }

    /// Checks every promise.
    ///
    /// - Throws: `Violation` for the first that is broken; `RetrievalError.missingVectors` when the
    ///   queries lack what the retriever needs; or what the retriever throws.
    public func verify(_ retriever: any Retriever) async throws {
        if retriever.needs.contains(.vector), queries.vectors == nil {
            throw RetrievalError.missingVectors
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
        in result: RetrievalResult, of queries: RetrievalQueries, count: Int
    ) -> Violation? {
        let found = result.passages
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
                if queries.excluded[question].contains(id) {
                    return broken(.exclusion, "passage \(id) is excluded")
                }
            }
        }
        return violationOfVectors(in: result)
    }

    /// The first passage without a finite vector where the result has vectors.
    private static func violationOfVectors(in result: RetrievalResult) -> Violation? {
        guard let vectors = result.vectors else { return nil }
        for id in result.passages.joined().map(\.passage.id) where vectors.row(of: id) == nil {
            return Violation(promise: .vectors, detail: "passage \(id) has no vector")
        }
        let dimension = vectors.vectors.dim(1)
        if let place = vectors.vectors.withUnsafeElements({ $0.firstIndex { !$0.isFinite } }) {
            return Violation(
                promise: .vectors,
                detail: "the vector of passage \(vectors.ids[place / dimension]) is not finite")
        }
        return nil
    }
}

extension Retriever {
    /// The passages for queries, after a check of the promises that a single answer can break.
    ///
    /// - Throws: ``RetrievalError/contractViolation(_:)``, or what the retriever throws.
    func checkedResult(
        for queries: RetrievalQueries, count: Int
    ) async throws -> RetrievalResult {
        let found = try await retrieve(queries, count: count)
        if let broken = RetrieverContract.violation(in: found, of: queries, count: count) {
            throw RetrievalError.contractViolation(broken.detail)
        }
        return found
    }
}
