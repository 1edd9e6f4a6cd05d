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
        queries: [0, 5, 9].map { RetrievalQuery(text: "\($0)") }, passages: passages.count, count: 4
    )

    /// Right in everything, but for what `breaking` does with it.
    private struct Line: Retriever {
        var needs = QueryNeeds.text
        var search: @Sendable ([RetrievalQuery], Int) async throws -> [[RetrievedPassage]] = {
            Line.search($0, $1)
        }

        func passages(
            for queries: [RetrievalQuery], count: Int
        ) async throws -> [[RetrievedPassage]] {
            try await search(queries, count)
        }

        static func search(_ queries: [RetrievalQuery], _ count: Int) -> [[RetrievedPassage]] {
            queries.map { query in
                let place = Float(query.text) ?? 0
                return RetrieverContractTests.passages
                    .filter { !query.excluded.contains($0.id) }
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
        _ search: @escaping @Sendable ([RetrievalQuery], Int) async throws -> [[RetrievedPassage]]
    ) async {
        let error = await #expect(
            throws: RetrieverContract.Violation.self, sourceLocation: sourceLocation
        ) {
            try await Self.contract.verify(Line(search: search))
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
        let queries = (0..<4).map { _ in
            RetrievalQuery(text: "", vector: .randomNormal([6], using: &numbers))
        }
        for count in [1, 5, 12, 40] {
            try await RetrieverContract(queries: queries, passages: 12, count: count).verify(dense)
        }
        await #expect(throws: RetrievalError.missingVector(query: 0)) {
            try await Self.contract.verify(dense)
        }
    }

    @Test func oneListForEachQuery() async {
        await expectBroken(.oneListForEachQuery) { Line.search($0, $1).dropLast() }
        // One list for an empty batch.
        await expectBroken(.oneListForEachQuery) {
            $0.isEmpty ? [[]] : Line.search($0, $1)
        }
        // Lists in an order of its own.
        await expectBroken(.oneListForEachQuery) {
            Line.search($0.sorted { $0.text < $1.text }, $1)
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
            Line.search(queries.map { RetrievalQuery(text: $0.text) }, count).map { list in
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
            return Line.search(
                queries.map { query in
                    var moved = query
                    moved.text = "\((Int(query.text) ?? 0) + call % 3)"
                    return moved
                }, count)
        }
    }

    @Test func exclusion() async {
        func without(_ query: RetrievalQuery) -> RetrievalQuery { RetrievalQuery(text: query.text) }
        // Not looked at.
        await expectBroken(.exclusion) { queries, count in
            Line.search(queries.map { RetrievalQuery(text: $0.text) }, count)
        }
        // Taken out afterwards, with nothing in their place.
        await expectBroken(.exclusion) { queries, count in
            zip(queries, Line.search(queries.map { RetrievalQuery(text: $0.text) }, count)).map {
                query, list in
                list.filter { !query.excluded.contains($0.passage.id) }
            }
        }
        // Of one query, taken out for all.
        await expectBroken(.exclusion) { queries, count in
            let all = queries.reduce(into: Set<PassageID>()) { $0.formUnion($1.excluded) }
            return Line.search(
                queries.map { RetrievalQuery(text: $0.text, excluded: all) }, count)
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
                ? Line.search(queries.map { _ in RetrievalQuery(text: "0") }, count)
                : Line.search(queries, count)
        }
    }

    @Test func cancellation() async {
        struct Busy: Error {}
        await expectBroken(.cancellation) { queries, count in
            Task.isCancelled ? queries.map { _ in [] } : Line.search(queries, count)
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
            return broken.withLock { $0 } ? queries.map { _ in [] } : Line.search(queries, count)
        }
        await #expect(throws: Never.self) {
            try await Self.contract.verify(
                Line { queries, count in
                    try Task.checkCancellation()
                    return Line.search(queries, count)
                })
        }
    }
}
