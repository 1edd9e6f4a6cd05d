extension RetrieverContract {
    /// How many tasks ask at once.
    private static let tasks = 8

    /// Asks, and looks at the answer by itself.
    func ask(
        _ retriever: any Retriever, _ queries: [RetrievalQuery], _ count: Int
    ) async throws -> [[RetrievedPassage]] {
        let found = try await retriever.passages(for: queries, count: count)
        if let broken = Self.violation(in: found, of: queries, count: count) { throw broken }
        // What is left of the base when the excluded are taken out, as far as it is asked for.
        for (question, list) in found.enumerated() {
            let there = min(count, passages - queries[question].excluded.count)
            guard list.count == there else {
                throw Violation(
                    promise: queries[question].excluded.isEmpty ? .allThatThereAre : .exclusion,
                    detail: "\(list.count) passages for question \(question) where there are "
                        + "\(there), of \(passages) without \(queries[question].excluded.count)")
            }
        }
        return found
    }

    /// No query, one passage, and more passages than there are.
    func checkCounts(_ retriever: any Retriever, _ answers: [[RetrievedPassage]]) async throws {
        _ = try await ask(retriever, [], count)
        let best = try await ask(retriever, queries, 1)
        try expect(best, answers.map { Array($0.prefix(1)) }, .stableIDs, "asked for one passage")
        _ = try await ask(retriever, queries, passages + 3)
    }

    /// The same again, in another order and one by one; an id names one passage everywhere.
    func checkStability(_ retriever: any Retriever, _ answers: [[RetrievedPassage]]) async throws {
        try expect(
            try await ask(retriever, queries, count), answers, .stableIDs, "asked a second time")
        try expect(
            try await ask(retriever, queries.reversed(), count), answers.reversed(),
            .oneListForEachQuery, "asked in the opposite order")
        var named: [PassageID: Passage] = [:]
        for (query, answer) in zip(queries, answers) {
            let alone = try await ask(retriever, [query], count)
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
        var asked = queries
        asked[0].excluded = [best.passage.id]
        let others = try await ask(retriever, asked, count)
        try expect(
            Array(others.dropFirst()), Array(answers.dropFirst()), .exclusion,
            "asked while another query of the batch excludes passage \(best.passage.id)")
        for index in asked.indices { asked[index].excluded = Set(answers[index].map(\.passage.id)) }
        _ = try await ask(retriever, asked, count)
        let everything = try await ask(retriever, queries, passages)
        for index in asked.indices {
            asked[index].excluded = Set(everything[index].map(\.passage.id))
        }
        _ = try await ask(retriever, asked, count)
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
                        let order = Array(queries[first...] + queries[..<first])
                        let expected = Array(answers[first...] + answers[..<first])
                        let found = try await retriever.passages(for: order, count: count)
                        try expect(found, expected, .concurrency, "asked by 8 tasks at once")
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
            return try await retriever.passages(for: queries, count: count)
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
            try await retriever.passages(for: queries, count: count), answers, .cancellation,
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

    /// Whether two lists are the same but for rounding: products come out a little different in a
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
