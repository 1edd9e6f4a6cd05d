extension RetrieverContract {
    /// The number of tasks that ask at once.
    private static let tasks = 8

    /// Asks, and checks the answer by itself.
    func ask(
        _ retriever: any Retriever, _ queries: RetrievalQueries, _ count: Int
    ) async throws -> [[RetrievedPassage]] {
        let result = try await retriever.retrieve(queries, count: count)
        if let broken = Self.violation(in: result, of: queries, count: count) { throw broken }
        try checkSource(of: result, retriever)
        let found = result.passages
        // What is left of the base when the excluded are taken out, as far as it is asked for.
        for (question, list) in found.enumerated() {
            let there = min(count, passages - queries.excluded[question].count)
            guard list.count == there else {
                throw Violation(
                    promise: queries.excluded[question].isEmpty ? .allThatThereAre : .exclusion,
                    detail: "\(list.count) passages for question \(question) where there are "
                        + "\(there), of \(passages) without \(queries.excluded[question].count)")
            }
        }
        return found
    }

    /// Ids and version of the result's own source.
    private func checkSource(of result: RetrievalResult, _ retriever: any Retriever) throws {
        guard let source = result.source else { return }
        for found in result.passages.joined() where !source.knowledgeBase.holds(found.passage) {
            throw Violation(
                promise: .source,
                detail: "passage \(found.passage.id) of the base is not the one that was found")
        }
        guard source.version == nil || retriever.refreshable != nil else {
            throw Violation(
                promise: .refreshable,
                detail: "passages come from version \(source.version ?? 0) of an index, and "
                    + "`refreshable` is nil: forward that of the retriever that was asked")
        }
    }

    /// No query, one passage, and more passages than there are.
    func checkCounts(_ retriever: any Retriever, _ answers: [[RetrievedPassage]]) async throws {
        _ = try await ask(retriever, queries.selecting([]), count)
        let best = try await ask(retriever, queries, 1)
        try expect(best, answers.map { Array($0.prefix(1)) }, .stableIDs, "asked for one passage")
        _ = try await ask(retriever, queries, passages + 3)
    }

    /// The same again, in another order and one by one; an id names one passage everywhere.
    func checkStability(_ retriever: any Retriever, _ answers: [[RetrievedPassage]]) async throws {
        try expect(
            try await ask(retriever, queries, count), answers, .stableIDs, "asked a second time")
        try expect(
            try await ask(retriever, queries.selecting((0..<queries.count).reversed()), count),
            answers.reversed(),
            .oneListForEachQuery, "asked in the opposite order")
        var named: [PassageID: Passage] = [:]
        for (number, answer) in answers.enumerated() {
            let alone = try await ask(retriever, queries.selecting([number]), count)
            try expect(alone, [answer], .oneListForEachQuery, "asked alone")
            for found in alone[0] + answer {
                let known = named.updateValue(found.passage, forKey: found.passage.id)
                guard known == nil || known == found.passage else {
                    throw Violation(
                        promise: .stableIDs,
                        detail: "\(found.passage.id) is the id of '\(known?.title ?? "")' and of "
                            + "'\(found.passage.title)', or of two texts")
                }
            }
        }
    }

    /// The best left out for the first query alone; all that were found; and everything there is.
    func checkExclusion(_ retriever: any Retriever, _ answers: [[RetrievedPassage]]) async throws {
        guard let best = answers[0].first else { return }
        var excluded = queries.excluded
        excluded[0] = [best.passage.id]
        let others = try await ask(retriever, queries.excluding(excluded), count)
        try expect(
            Array(others.dropFirst()), Array(answers.dropFirst()), .exclusion,
            "asked while another query of the batch excludes passage \(best.passage.id)")
        _ = try await ask(
            retriever, queries.excluding(answers.map { Set($0.map(\.passage.id)) }), count)
        let everything = try await ask(retriever, queries, passages)
        _ = try await ask(
            retriever, queries.excluding(everything.map { Set($0.map(\.passage.id)) }), count)
    }

    func checkConcurrency(
        _ retriever: any Retriever, _ answers: [[RetrievedPassage]]
    ) async throws {
        try await withThrowingTaskGroup(of: Void.self) { group in
            for task in 0..<Self.tasks {
                group.addTask {
                    for turn in 0..<4 {
                        // Each asks something else than its neighbours at the time.
                        let first = (task + turn) % queries.count
                        let order = (0..<queries.count).map { ($0 + first) % queries.count }
                        let found = try await retriever.retrieve(
                            queries.selecting(order), count: count)
                        try expect(
                            found.passages, order.map { answers[$0] }, .concurrency,
                            "asked by 8 tasks at once")
                    }
                }
            }
            try await group.waitForAll()
        }
    }

    func checkCancellation(
        _ retriever: any Retriever, _ answers: [[RetrievedPassage]]
    ) async throws {
        let task = Task {
            // Begins only when it is cancelled, so that no answer is there before.
            while !Task.isCancelled { await Task.yield() }
            return try await retriever.retrieve(queries, count: count).passages
        }
        task.cancel()
        do {
            try expect(await task.value, answers, .cancellation, "asked by a cancelled task")
        } catch is CancellationError {
            // As it should be.
        } catch let violation as Violation {
            throw violation
        } catch {
            throw Violation(
                promise: .cancellation, detail: "a cancelled task got the error \(error)")
        }
        try expect(
            try await retriever.retrieve(queries, count: count).passages, answers, .cancellation,
            "asked after a task was cancelled")
    }

    /// Expects the same passages, but for the order of those that fit equally well.
    private func expect(
        _ found: [[RetrievedPassage]], _ expected: [[RetrievedPassage]], _ promise: Promise,
        _ occasion: String
    ) throws {
        guard found.count != expected.count || !zip(found, expected).allSatisfy(Self.agree) else {
            return
        }
        func shown(_ lists: [[RetrievedPassage]]) -> String {
            "\(lists.map { $0.map(\.passage.id.rawValue) })"
        }
        throw Violation(
            promise: promise,
            detail: "\(occasion), it found \(shown(found)) instead of \(shown(expected)), or other "
                + "scores")
    }

    /// True if two lists are the same but for rounding: products come out a little different in a
    /// batch of another size, which can exchange passages that fit equally well.
    private static func agree(_ found: [RetrievedPassage], _ expected: [RetrievedPassage]) -> Bool {
        func near(_ a: Float, _ b: Float) -> Bool {
            abs(a - b) <= 1e-3 * max(abs(a), abs(b), 1e-3)
        }
        guard found.count == expected.count, let last = expected.last else {
            return found.isEmpty && expected.isEmpty
        }
        return zip(found, expected).allSatisfy { near($0.score, $1.score) }
            && found.allSatisfy { one in
                let known = expected.first { $0.passage.id == one.passage.id }
                return near(one.score, known?.score ?? last.score)
            }
    }
}
