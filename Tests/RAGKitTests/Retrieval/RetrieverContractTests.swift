import Synchronization
import Testing

@testable import RAGKit

/// Every promise of a retriever, broken by one that breaks nothing else.
@Suite struct RetrieverContractTests {
    private static let passages = (0..<12).map {
        Passage(id: PassageID($0), title: "Title \($0)", text: "Text \($0)")
    }

    /// Queries 0, 5 and 9 fit the passages of their numbers best, others the less the farther away.
    private static let contract = RetrieverContract(
        queries: RetrievalQueries(texts: ["0", "5", "9"]), passages: passages.count, count: 4)

    /// Right in everything, but for what `breaking` does with it.
    private struct Line: Retriever {
        var needs = QueryNeeds.text
        var search: @Sendable (RetrievalQueries, Int) async throws -> [[RetrievedPassage]] = {
            Line.search($0, $1)
        }

        func retrieve(
            _ queries: RetrievalQueries, count: Int
        ) async throws -> RetrievalResult {
            RetrievalResult(try await search(queries, count))
        }

        static func search(_ queries: RetrievalQueries, _ count: Int) -> [[RetrievedPassage]] {
            zip(queries.texts, queries.excluded).map { text, excluded in
                let place = Float(text) ?? 0
                return RetrieverContractTests.passages
                    .filter { !excluded.contains($0.id) }
                    .map {
                        // Never two at the same distance.
                        let distance = Float($0.id.rawValue) - place
                        return RetrievedPassage(
                            passage: $0, score: 10 - abs(distance) - (distance > 0 ? 0.25 : 0))
                    }
                    .sorted { $0.score > $1.score }.prefix(count).map { $0 }
            }
        }
    }

    private func expectBroken(
        _ promise: RetrieverContract.Promise, sourceLocation: SourceLocation = #_sourceLocation,
        _ search: @escaping @Sendable (RetrievalQueries, Int) async throws -> [[RetrievedPassage]]
    ) async {
        await expectBroken(
            promise, by: Line(search: search), Self.contract, sourceLocation: sourceLocation)
    }

    private func expectBroken(
        _ promise: RetrieverContract.Promise, by retriever: any Retriever,
        _ contract: RetrieverContract, sourceLocation: SourceLocation = #_sourceLocation
    ) async {
        let error = await #expect(
            throws: RetrieverContract.Violation.self, sourceLocation: sourceLocation
        ) {
            try await contract.verify(retriever)
        }
        #expect(
            error?.promise == promise, "\(error?.description ?? "")", sourceLocation: sourceLocation
        )
        #expect(
            error?.description.contains(promise.rawValue) == true, sourceLocation: sourceLocation)
    }

    @Test func rightRetrieversPass() async throws {
        try await Self.contract.verify(Line())
        var numbers = SeededGenerator(seed: 3)
        let dense = try DenseRetriever(
            KnowledgeBase(passages: Self.passages),
            vectors: .randomNormal([Self.passages.count, 6], using: &numbers))
        let queries = RetrievalQueries(
            texts: ["", "", "", ""], vectors: .randomNormal([4, 6], using: &numbers))
        for count in [1, 5, 12, 40] {
            try await RetrieverContract(queries: queries, passages: 12, count: count).verify(dense)
        }
        await #expect(throws: RetrievalError.missingVectors) {
            try await Self.contract.verify(dense)
        }
    }

    @Test func oneListForEachQuery() async {
        await expectBroken(.oneListForEachQuery) { Line.search($0, $1).dropLast() }
        // One list for an empty batch.
        await expectBroken(.oneListForEachQuery) {
            $0.count == 0 ? [[]] : Line.search($0, $1)
        }
        // Lists in an order of its own.
        await expectBroken(.oneListForEachQuery) { queries, count in
            let order = queries.texts.indices.sorted { queries.texts[$0] < queries.texts[$1] }
            return Line.search(queries.selecting(order), count)
        }
    }

    @Test func counts() async {
        await expectBroken(.atMostCount) { Line.search($0, $1 + 1) }
        await expectBroken(.allThatThereAre) { Line.search($0, min($1, 3)) }
        // A last one repeated is a passage twice.
        await expectBroken(.noPassageTwice) { queries, count in
            Line.search(queries, count).map { list in
                list.count < count ? list + list.suffix(1) : list
            }
        }
    }

    @Test func orderAndScores() async {
        await expectBroken(.bestFirst) { Line.search($0, $1).map { $0.reversed() } }
        for bad in [Float.nan, .infinity, -.infinity] {
            await expectBroken(.finiteScores) { queries, count in
                Line.search(queries, count).map { list in
                    list.dropLast()
                        + list.suffix(1).map { RetrievedPassage(passage: $0.passage, score: bad) }
                }
            }
        }
    }

    @Test func ids() async {
        await expectBroken(.noPassageTwice) { queries, count in
            Line.search(queries, count).map { list in
                list.map { found in
                    guard found.passage.id == 3 else { return found }
                    var other = found
                    other.passage.id = 4
                    return other
                }
            }
        }
        // Numbered by place in the answer: one id for many texts.
        await expectBroken(.stableIDs) { queries, count in
            Line.search(RetrievalQueries(texts: queries.texts), count).map { list in
                list.enumerated().map { place, found in
                    var renamed = found
                    renamed.passage.id = PassageID(place)
                    return renamed
                }
            }
        }
        // Another answer each time.
        let calls = Mutex(0)
        await expectBroken(.stableIDs) { queries, count in
            let call = calls.withLock { calls in
                calls += 1
                return calls
            }
            let moved = queries.texts.map { "\((Int($0) ?? 0) + call % 3)" }
            return Line.search(
                RetrievalQueries(texts: moved, excluded: queries.excluded), count)
        }
    }

    @Test func exclusion() async {
        // Not looked at.
        await expectBroken(.exclusion) { queries, count in
            Line.search(RetrievalQueries(texts: queries.texts), count)
        }
        // Taken out afterwards, with nothing in their place.
        await expectBroken(.exclusion) { queries, count in
            let all = Line.search(RetrievalQueries(texts: queries.texts), count)
            return zip(queries.excluded, all).map { excluded, list in
                list.filter { !excluded.contains($0.passage.id) }
            }
        }
        // Of one query, taken out for all.
        await expectBroken(.exclusion) { queries, count in
            let all = queries.excluded.reduce(into: Set<PassageID>()) { $0.formUnion($1) }
            return Line.search(queries.excluding(queries.texts.map { _ in all }), count)
        }
    }

    @Test func concurrency() async {
        let running = Mutex(0)
        await expectBroken(.concurrency) { queries, count in
            running.withLock { $0 += 1 }
            defer { running.withLock { $0 -= 1 } }
            try? await Task.sleep(for: .milliseconds(1))
            // A shared buffer that the last caller wrote into.
            return running.withLock { $0 } > 1
                ? Line.search(RetrievalQueries(texts: queries.texts.map { _ in "0" }), count)
                : Line.search(queries, count)
        }
    }

    @Test func cancellation() async {
        struct Busy: Error {}
        await expectBroken(.cancellation) { queries, count in
            Task.isCancelled ? queries.texts.map { _ in [] } : Line.search(queries, count)
        }
        await expectBroken(.cancellation) { queries, count in
            guard !Task.isCancelled else { throw Busy() }
            return Line.search(queries, count)
        }
        // Never the same again.
        let broken = Mutex(false)
        await expectBroken(.cancellation) { queries, count in
            if Task.isCancelled { broken.withLock { $0 = true } }
            try Task.checkCancellation()
            return broken.withLock { $0 }
                ? queries.texts.map { _ in [] } : Line.search(queries, count)
        }
        await #expect(throws: Never.self) {
            try await Self.contract.verify(
                Line { queries, count in
                    try Task.checkCancellation()
                    return Line.search(queries, count)
                })
        }
    }

    // MARK: - Vectors, source and refreshing

    /// A retriever around another, as a cache or a filter would be.
    private struct Wrapper: Retriever {
        let inner: DenseRetriever
        var forwards = true
        var change: @Sendable (RetrievalResult) -> RetrievalResult = { $0 }

        var needs: QueryNeeds { inner.needs }
        var refreshable: (any RefreshableRetriever)? { forwards ? inner : nil }

        func retrieve(
            _ queries: RetrievalQueries, count: Int
        ) async throws -> RetrievalResult {
            change(try await inner.retrieve(queries, count: count))
        }
    }

    /// The same without a word about refreshing.
    private struct Forgetful: Retriever {
        let inner: DenseRetriever
        var needs: QueryNeeds { inner.needs }
        func retrieve(
            _ queries: RetrievalQueries, count: Int
        ) async throws -> RetrievalResult {
            try await inner.retrieve(queries, count: count)
        }
    }

    private func dense() throws -> (DenseRetriever, RetrieverContract) {
        var numbers = SeededGenerator(seed: 8)
        let dense = try DenseRetriever(
            KnowledgeBase(passages: Self.passages),
            vectors: .randomNormal([Self.passages.count, 6], using: &numbers))
        let queries = RetrievalQueries(
            texts: ["", "", ""], vectors: .randomNormal([3, 6], using: &numbers))
        return (dense, RetrieverContract(queries: queries, passages: Self.passages.count, count: 4))
    }

    @Test func vectors() async throws {
        let (dense, contract) = try dense()
        try await contract.verify(Wrapper(inner: dense))
        // None at all is a promise kept: then the scores count.
        try await contract.verify(
            Wrapper(inner: dense) { RetrievalResult($0.passages, source: $0.source) })
        // Those of all passages but one that was found.
        await expectBroken(
            .vectors,
            by: Wrapper(inner: dense) { result in
                guard let known = result.vectors, known.ids.count > 1 else { return result }
                let rest = known.ids.count - 1
                var short = result
                short.vectors = PassageVectors(
                    ids: Array(known.ids.prefix(rest)), vectors: known.vectors.slice(0..<rest))
                return short
            }, contract)
        await expectBroken(
            .vectors,
            by: Wrapper(inner: dense) { result in
                guard let known = result.vectors else { return result }
                var spoilt = result
                spoilt.vectors = PassageVectors(
                    ids: known.ids, vectors: .full(known.vectors.shape, .nan))
                return spoilt
            }, contract)
    }

    /// Ids are those of the base that the result names, or of none.
    @Test func source() async throws {
        let (dense, contract) = try dense()
        let texts = Self.passages.map {
            Passage(id: $0.id, title: $0.title, text: $0.id == 3 ? "Another" : $0.text)
        }
        let bases = [
            KnowledgeBase(passages: texts),  // one of them is another
            KnowledgeBase(passages: Array(Self.passages.prefix(3))),  // most are not there
        ]
        for base in bases {
            await expectBroken(
                .source,
                by: Wrapper(inner: dense) {
                    RetrievalResult(
                        $0.passages, vectors: $0.vectors,
                        source: RetrievalSource(knowledgeBase: base, version: 0))
                }, contract)
        }
        try await contract.verify(
            Wrapper(inner: dense, forwards: false) {
                RetrievalResult($0.passages, vectors: $0.vectors)
            })
    }

    /// Who hands on passages of an index version must hand on what refreshes it.
    @Test func refreshable() async throws {
        let (dense, contract) = try dense()
        await expectBroken(.refreshable, by: Wrapper(inner: dense, forwards: false), contract)
        await expectBroken(.refreshable, by: Forgetful(inner: dense), contract)
        #expect(Wrapper(inner: dense).refreshable as? DenseRetriever === dense)
        #expect((dense as any Retriever).refreshable as? DenseRetriever === dense)
    }
}
