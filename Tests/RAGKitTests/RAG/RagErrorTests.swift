import Testing

@testable import RAGKit

/// What cannot work is said with the words that help.
@Suite struct RagErrorTests {
    private func expect(
        _ words: String..., sourceLocation: SourceLocation = #_sourceLocation,
        from body: () async throws -> Void
    ) async {
        let error = await #expect(throws: (any Error).self, sourceLocation: sourceLocation) {
            try await body()
        }
        let text = error.map { "\($0)" } ?? ""
        for word in words {
            #expect(text.contains(word), "'\(text)'", sourceLocation: sourceLocation)
        }
    }

    @Test func oneOfTheTwoCallsIsMissing() async throws {
        let model = try TinyRag.model(endToEnd: false)
        model.setContextEncoderTokenizer(model.questionTokenizer)
        await expect("setContextEncoder(_:)", "tokenizer") {
            _ = try await model.answer(["why"])
        }
        await expect("setContextEncoder(_:)") { _ = try RagTrainingTask(model) }
        let other = try TinyRag.model(endToEnd: false)
        try other.setContextEncoder(
            TinyRag.encoder(.context, vocabulary: model.questionTokenizer.vocabularySize, seed: 1))
        await expect("setContextEncoderTokenizer(_:)") { _ = try TinyRag.loss(other) }
        await expect("setContextEncoderTokenizer(_:)") { _ = try RagTrainingTask(other) }
        other.setContextEncoderTokenizer(model.questionTokenizer)
        #expect(try TinyRag.loss(other).sum.item().isFinite)
    }

    @Test func encodersOfAnotherDimension() async throws {
        let model = try TinyRag.model(endToEnd: false)
        let vocabulary = model.questionTokenizer.vocabularySize
        await expect("6", "5", "dimension") {
            try model.setContextEncoder(
                TinyRag.encoder(.context, vocabulary: vocabulary, seed: 1, dimension: 5))
        }
        #expect(model.contextEncoder == nil)
        await expect("6", "5", "dimension") {
            _ = try InBatchNegativesTask(
                questionEncoder: model.questionEncoder, questionTokenizer: model.questionTokenizer,
                contextEncoder: TinyRag.encoder(
                    .context, vocabulary: vocabulary, seed: 1, dimension: 5),
                contextTokenizer: model.questionTokenizer)
        }
    }

    @Test func anIndexOfAnotherDimension() async throws {
        let model = try TinyRag.model()
        model.retriever = try TinyRag.retriever(dimension: 4)
        await expect("the index holds vectors of 4", "6") { _ = try await model.answer(["why"]) }
        await expect("the index holds vectors of 4", "6") { _ = try RagTrainingTask(model) }
    }

    @Test func tokenizersLargerThanTheirModels() async throws {
        let model = try TinyRag.model(endToEnd: false)
        let (words, pieces) = (model.questionTokenizer, model.generatorTokenizer)
        func make(_ encoderSize: Int, _ generatorSize: Int) throws -> RagModel {
            try RagModel(
                questionEncoder: TinyRag.encoder(.question, vocabulary: encoderSize, seed: 1),
                questionTokenizer: words,
                generator: TinyRag.generator(vocabulary: generatorSize, seed: 1),
                generatorTokenizer: pieces)
        }
        let sizes = (words.vocabularySize, pieces.vocabularySize)
        await expect("generator's tokenizer", "\(sizes.1)", "\(sizes.1 - 1)") {
            _ = try make(sizes.0, sizes.1 - 1)
        }
        await expect("question encoder's tokenizer", "\(sizes.0 - 1)") {
            _ = try make(sizes.0 - 1, sizes.1)
        }
        _ = try make(sizes.0 + 3, sizes.1 + 3)
        try model.setContextEncoder(
            TinyRag.encoder(.context, vocabulary: sizes.0 - 2, seed: 1))
        model.setContextEncoderTokenizer(words)
        await expect("context encoder's tokenizer", "\(sizes.0 - 2)") {
            _ = try TinyRag.loss(model)
        }
    }

    /// Encoders of a user's own are checked as the library's are.
    @Test func tokenizersLargerThanAUsersOwnEncoder() async throws {
        let plain = try TinyRag.model(endToEnd: false)
        let words = plain.questionTokenizer
        let size = words.vocabularySize
        let error = #expect(throws: RagError.self) {
            _ = try RagModel(
                questionEncoder: MeanWordsEncoder(vocabularySize: size - 1, seed: 1),
                questionTokenizer: words, generator: plain.generator,
                generatorTokenizer: plain.generatorTokenizer)
        }
        #expect(
            error
                == .vocabularyMismatch(part: "question encoder", tokenizer: size, model: size - 1))
        let model = try TinyRag.model(endToEnd: false)
        try model.setContextEncoder(MeanWordsEncoder(vocabularySize: size - 2, seed: 1))
        model.setContextEncoderTokenizer(words)
        await expect("context encoder's tokenizer", "\(size - 2)") {
            _ = try TinyRag.loss(model)
        }
    }

    @Test func emptyQuestionsAndTargets() async throws {
        let model = try TinyRag.model()
        for question in ["", "  \t", "\n"] {
            await expect("question 1 is empty") { _ = try await model.answer(["why", question]) }
        }
        await expect("target 1 is empty") { _ = try model.targetTokens(["x", " "]) }
        let evidence = try model.evidence(["why"], passages: TinyRag.found([[0]]))
        let vectors = model.questionEncoder(try model.questionTokens(["why"]))
        await expect("target 0 is empty") {
            _ = try model.loss(vectors: vectors, evidence: evidence, targets: TokenBatch([[]]))
        }
        // With the target's own first token as the start, one token leaves nothing to predict.
        model.configuration.compatibility.startsDecoderWithTarget = true
        await expect("target 0 is empty") {
            _ = try model.loss(vectors: vectors, evidence: evidence, targets: TokenBatch([[7]]))
        }
    }

    @Test func nothingToRetrieveFrom() async throws {
        let model = try TinyRag.model()
        model.retriever = try DenseRetriever(
            KnowledgeBase(passages: []), vectors: Tensor.zeros([0, 6]))
        await expect("no passage was found", "why") { _ = try await model.answer(["why"]) }
        await expect("no passage") { _ = try RagTrainingTask(model) }
        model.retriever = nil
        await expect("no retriever", "`retriever`", "passages") {
            _ = try await model.answer(["why"])
        }
        await expect("no retriever") { _ = try RagTrainingTask(model) }
    }

    /// Answering reads what there is; training with fewer than it is set to is a mistake.
    @Test func fewerPassagesThanDocumentsAskedFor() async throws {
        let model = try TinyRag.model()
        model.configuration.nDocs = TinyRag.passages.count + 1
        await expect("7 documents", "6 passages", "nDocs") { _ = try RagTrainingTask(model) }
        #expect(try await model.answer(["why"])[0].sources.count == TinyRag.passages.count)
        model.configuration.nDocs = TinyRag.passages.count
        _ = try RagTrainingTask(model)
    }

    @Test func refreshAskedOfWhatCannot() async throws {
        struct Fixed: Retriever {
            var needs: QueryNeeds { .text }
            func retrieve(
                _ queries: RetrievalQueries, count: Int
            ) async throws -> RetrievalResult { TinyRag.found() }
        }
        let model = try TinyRag.model()
        model.retriever = Fixed()
        await expect("Fixed", "RefreshableRetriever") {
            _ = try RagTrainingTask(model, refresh: .blocking(every: 2))
        }
        #expect(try RagTrainingTask(model).refresher == nil)
        let plain = try TinyRag.model(endToEnd: false)
        await expect("setContextEncoder(_:)") {
            _ = try RagTrainingTask(plain, refresh: .blocking(every: 2))
        }
        plain.retriever = nil
        await expect("without retriever") {
            _ = try RagTrainingTask(plain, refresh: .blocking(every: 2))
        }
        await expect("at least 1") {
            _ = try RagTrainingTask(TinyRag.model(), refresh: .blocking(every: 0))
        }
    }
}
