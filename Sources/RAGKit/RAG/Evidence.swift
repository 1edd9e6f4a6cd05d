/// The documents found for a batch of questions, ready for the generator: `documents` for each
/// question, in one order throughout.
public struct Evidence: Sendable {
    /// What was found for each question, best first; may be fewer than `documents`.
    public let passages: [[RetrievedPassage]]
    /// How many documents each question has; where fewer were found, the first stands in for the
    /// others with probability 0.
    public let documents: Int
    /// What the generator reads: `questions · documents` sequences, a question's together.
    public let contexts: TokenBatch
    /// Scores given by the caller, or by the retriever where nothing better is known.
    let givenScores: [[Float]]?
    /// What the context encoder reads: each different passage once.
    let contextEncoderInputs: TokenBatch?
    /// For each question and document, its row among the different passages.
    let passageRows: [Int32]

    init(
        passages: [[RetrievedPassage]], documents: Int, contexts: TokenBatch,
        givenScores: [[Float]]?, contextEncoderInputs: TokenBatch?, passageRows: [Int32]
    ) {
        self.passages = passages
        self.documents = documents
        self.contexts = contexts
        self.givenScores = givenScores
        self.contextEncoderInputs = contextEncoderInputs
        self.passageRows = passageRows
    }

    /// Evidence of token ids that were made elsewhere.
    ///
    /// - Parameters:
    ///   - documents: of each question.
    ///   - contexts: `questions · documents` sequences for the generator, a question's together.
    ///   - contextEncoderInputs: as many sequences for the context encoder, in the same order.
    public init(documents: Int, contexts: TokenBatch, contextEncoderInputs: TokenBatch) {
        precondition(
            documents > 0 && contexts.count % documents == 0
                && contextEncoderInputs.count == contexts.count,
            "Evidence: \(contexts.count) contexts and \(contextEncoderInputs.count) passages for "
                + "questions of \(documents) documents")
        let unnamed = RetrievedPassage(
            passage: Passage(id: 0, title: "", text: ""), score: 0)
        self.init(
            passages: (0..<contexts.count / documents).map { _ in
                Array(repeating: unnamed, count: documents)
            },
            documents: documents, contexts: contexts, givenScores: nil,
            contextEncoderInputs: contextEncoderInputs,
            passageRows: (0..<contexts.count).map { Int32($0) })
    }

    /// Evidence of token ids and scores that were made elsewhere.
    ///
    /// - Parameters:
    ///   - contexts: for the generator, a question's together.
    ///   - scores: of each question's documents, as many for each.
    public init(contexts: TokenBatch, scores: [[Float]]) {
        let documents = scores.first?.count ?? 0
        precondition(
            documents > 0 && scores.allSatisfy { $0.count == documents }
                && contexts.count == scores.count * documents,
            "Evidence: \(contexts.count) contexts for scores \(scores.map(\.count))")
        let unnamed = RetrievedPassage(passage: Passage(id: 0, title: "", text: ""), score: 0)
        self.init(
            passages: scores.map { $0.map { _ in unnamed } }, documents: documents,
            contexts: contexts, givenScores: scores, contextEncoderInputs: nil,
            passageRows: [])
    }

    /// The number of questions.
    public var count: Int { passages.count }

    /// The passage at place `document` of `question`, or the one that stands in for it.
    func passage(_ question: Int, _ document: Int) -> RetrievedPassage {
        let list = passages[question]
        return document < list.count ? list[document] : list[0]
    }

    /// 0 where a document was found, and where one stands in a number so low that its probability
    /// is 0 (finite, since -∞ times 0 is not a number): added to scores.
    var missingMask: Tensor? {
        guard passages.contains(where: { $0.count < documents }) else { return nil }
        return Tensor(
            passages.flatMap { list in
                (0..<documents).map { $0 < list.count ? 0 : -1e30 }
            },
            shape: [count, documents])
    }
}

extension RagModel {
    /// The ids of each question as the question encoder reads them.
    ///
    /// - Throws: `RagError.emptyQuestion`.
    public func questionTokens(_ questions: [String]) throws -> TokenBatch {
        let limit = min(configuration.maxQuestionLength, questionEncoder.maxTokens)
        return TokenBatch(
            try questions.enumerated().map { index, question in
                guard question.contains(where: { !$0.isWhitespace }) else {
                    throw RagError.emptyQuestion(index: index)
                }
                return questionTokenizer.encode(question, maxLength: limit).ids
            })
    }

    /// The ids of each answer as the generator writes them, with special tokens.
    ///
    /// - Throws: `RagError.emptyTarget`.
    public func targetTokens(_ answers: [String]) throws -> TokenBatch {
        TokenBatch(
            try answers.enumerated().map { index, answer in
                guard answer.contains(where: { !$0.isWhitespace }) else {
                    throw RagError.emptyTarget(index: index)
                }
                return contextBuilder.target(answer, generatorSettings)
            })
    }

    /// Finds the documents of each question.
    ///
    /// - Parameters:
    ///   - questions: the words.
    ///   - vectors: their vectors, `[questions, dimension]`; only the values are used.
    ///   - count: how many documents each.
    /// - Throws: `RagError`, or what the retriever throws.
    public func retrieve(
        _ questions: [String], vectors: Tensor, count: Int, excluding: [Set<PassageID>]? = nil
    ) async throws -> [[RetrievedPassage]] {
        guard let retriever else { throw RagError.missingRetriever }
        let queries = questions.enumerated().map { index, question in
            RetrievalQuery(
                text: question,
                vector: vectors.detached.slice(index..<index + 1).reshaped([vectors.dim(1)]),
                excluded: excluding?[index] ?? [])
        }
        let found = try await retriever.passages(for: queries, count: count)
        try check(found, questions: questions.count, count: count)
        return found
    }

    /// Stops where a retriever of somebody's own returned what it must not.
    private func check(_ found: [[RetrievedPassage]], questions: Int, count: Int) throws {
        guard found.count == questions else {
            throw RetrievalError.brokenPromise(
                "\(found.count) lists of passages for \(questions) questions")
        }
        for (question, list) in found.enumerated() {
            func broken(_ what: String) -> RetrievalError {
                .brokenPromise("\(what), for question \(question)")
            }
            guard list.count <= count else {
                throw broken("\(list.count) passages where \(count) were asked for")
            }
            for passage in list {
                guard passage.score.isFinite else {
                    throw broken("passage \(passage.passage.id) has the score \(passage.score)")
                }
                if let vector = passage.vector, vector.count != questionEncoder.dimension {
                    throw broken(
                        "passage \(passage.passage.id) has a vector of \(vector.count) numbers, "
                            + "expected \(questionEncoder.dimension)")
                }
            }
        }
    }

    /// Makes generator and context-encoder inputs from the passages of each question.
    ///
    /// - Parameters:
    ///   - passages: best first; at least one for each question.
    ///   - scores: of the caller, one for each passage; they replace every other score.
    /// - Throws: `RagError.noPassages` or `.countMismatch`; `RetrievalError.invalidCount`.
    public func evidence(
        _ questions: [String], passages: [[RetrievedPassage]], scores: [[Float]]? = nil,
        count: Int? = nil
    ) throws -> Evidence {
        guard passages.count == questions.count else {
            throw RagError.countMismatch(
                what: "passages", expected: questions.count, found: passages.count)
        }
        if let empty = passages.firstIndex(where: \.isEmpty) {
            throw RagError.noPassages(question: questions[empty])
        }
        if let scores, scores.map(\.count) != passages.map(\.count) {
            throw RagError.countMismatch(
                what: "scores", expected: passages.reduce(0) { $0 + $1.count },
                found: scores.reduce(0) { $0 + $1.count })
        }
        if let count, count < 1 { throw RetrievalError.invalidCount(count) }
        let limit = count ?? passages.map(\.count).max() ?? 0
        let lists = passages.map { Array($0.prefix(limit)) }
        let documents = lists.map(\.count).max() ?? 0
        let read = questions.map(questionForGenerator)
        let settings = generatorSettings
        var contexts = TokenBatch()
        var rows: [Int32] = []
        var rowOfPassage: [Passage: Int32] = [:]
        var different: [Passage] = []
        for (question, list) in zip(read, lists) {
            for document in 0..<documents {
                let passage = (document < list.count ? list[document] : list[0]).passage
                contexts.append(contextBuilder.ids(passage, question, settings))
                if rowOfPassage[passage] == nil {
                    rowOfPassage[passage] = Int32(different.count)
                    different.append(passage)
                }
                rows.append(rowOfPassage[passage] ?? 0)
            }
        }
        let encoderInputs = try contextParts().map { encoder, tokenizer in
            let encoding = PassageEncoder(tokenizer: tokenizer)
            return TokenBatch(different.map { encoding.ids(of: $0, for: encoder) })
        }
        return Evidence(
            passages: lists, documents: documents, contexts: contexts,
            givenScores: scores.map { $0.map { Array($0.prefix(limit)) } },
            contextEncoderInputs: encoderInputs, passageRows: rows)
    }

    /// The configuration without lengths that the generator cannot take.
    private var generatorSettings: RagConfiguration {
        var settings = configuration
        settings.maxCombinedLength = min(settings.maxCombinedLength, generator.maxTokens)
        settings.maxTargetLength = min(settings.maxTargetLength, generator.maxTokens)
        return settings
    }

    /// The question as the generator reads it.
    private func questionForGenerator(_ question: String) -> String {
        guard configuration.compatibility.decodesQuestionFromIDs else { return question }
        let limit = min(configuration.maxQuestionLength, questionEncoder.maxTokens)
        return questionTokenizer.decode(
            questionTokenizer.encode(question, maxLength: limit).ids)
    }

    /// The scores of each question's documents: `[questions, documents]`, about -1e30 where one is missing.
    ///
    /// The caller's scores if there are any; else products of the question's vector with what the
    /// live context encoder makes of each passage, or with the retriever's vectors; else the
    /// retriever's own scores as constants.
    ///
    /// - Parameter usesIndexVectors: takes the retriever's vectors also when there is a context
    ///   encoder.
    public func documentScores(
        _ vectors: Tensor, _ evidence: Evidence, usesIndexVectors: Bool = false
    ) throws -> Tensor {
        let shape = [evidence.count, evidence.documents]
        let scores: Tensor
        if let given = evidence.givenScores {
            scores = Tensor(
                given.flatMap { list in
                    (0..<evidence.documents).map { $0 < list.count ? list[$0] : 0 }
                }, shape: shape)
        } else if let inputs = evidence.contextEncoderInputs, !usesIndexVectors,
            let encoder = try contextParts()?.encoder
        {
            scores = products(vectors, encoder(inputs).rows(evidence.passageRows), evidence)
        } else if let constants = indexVectors(evidence) {
            scores = products(vectors, constants, evidence)
        } else {
            scores = Tensor(
                (0..<evidence.count).flatMap { question in
                    (0..<evidence.documents).map { evidence.passage(question, $0).score }
                }, shape: shape)
        }
        return evidence.missingMask.map { scores + $0 } ?? scores
    }

    /// Question · document for each pair: documents are `[questions · documents, dimension]`.
    private func products(_ vectors: Tensor, _ documents: Tensor, _ evidence: Evidence) -> Tensor {
        let repeated = vectors.rows(
            (0..<evidence.count).flatMap { repeatElement(Int32($0), count: evidence.documents) })
        return repeated.dotRows(documents).reshaped([evidence.count, evidence.documents])
    }

    /// The retriever's vectors, one row for each question and document, if it gave them all.
    private func indexVectors(_ evidence: Evidence) -> Tensor? {
        var rows: [Tensor] = []
        for question in 0..<evidence.count {
            for document in 0..<evidence.documents {
                guard let vector = evidence.passage(question, document).vector else { return nil }
                rows.append(vector.detached.reshaped([1, vector.count]))
            }
        }
        return rows.isEmpty ? nil : .concatenated(rows)
    }
}
