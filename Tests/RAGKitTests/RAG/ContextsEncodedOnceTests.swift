import Synchronization
import Testing

@testable import RAGKit

/// However many beams, candidates and returned sequences there are, the contexts of a question are
/// encoded once, and keys and values of the cross-attention are made of them once.
@Suite struct ContextsEncodedOnceTests {
    @Test(arguments: [Marginalization.token, .sequence], [1, 4])
    func once(_ kind: Marginalization, _ beams: Int) async throws {
        let work = CountedWork()
        let model = try counted(kind, work)
        var settings = GenerationConfiguration()
        settings.maxLength = 7
        settings.numBeams = beams
        settings.numReturnSequences = beams
        let answers = try await model.answer(
            TinyRag.questions, passages: TinyRag.found(), generation: settings)

        #expect(answers.count == 3)
        #expect(answers.allSatisfy { !$0.tokenIDs.isEmpty })
        #expect(work.counts.withLock { $0.encoded } == 9, "three questions of three documents")
        #expect(work.counts.withLock { $0.prepared } == 9)
        // Otherwise nothing above says anything about beams.
        #expect(work.counts.withLock { $0.stepped } > 9 * beams)
    }

    private func counted(_ kind: Marginalization, _ work: CountedWork) throws -> RagModel {
        let plain = try TinyRag.model(kind)
        let bart = try #require(plain.generator as? BartGenerator)
        return try RagModel(
            questionEncoder: plain.questionEncoder, questionTokenizer: plain.questionTokenizer,
            generator: CountingGenerator(.init(bart: bart.configuration, work: work), bart),
            generatorTokenizer: plain.generatorTokenizer, retriever: TinyRag.retriever(),
            configuration: plain.configuration)
    }
}

/// How many contexts were encoded, made ready for decoding, and how many rows were decoded.
private final class CountedWork: Sendable {
    let counts = Mutex((encoded: 0, prepared: 0, stepped: 0))
}

/// A BART that counts. Its counter is in the configuration, so copies count together.
private final class CountingGenerator: Module, Seq2SeqGenerator {
    struct Configuration: Sendable {
        var bart: BartConfiguration
        var work: CountedWork
    }

    let configuration: Configuration
    @ModuleInfo(key: "") private var inner: BartGenerator

    convenience init(configuration: Configuration) {
        self.init(configuration, BartGenerator(configuration: configuration.bart))
    }

    init(_ configuration: Configuration, _ inner: BartGenerator) {
        self.configuration = configuration
        super.init()
        self.inner = inner
    }

    var tokenIDs: GeneratorTokenIDs { inner.tokenIDs }
    var vocabularySize: Int { inner.vocabularySize }
    var maxTokens: Int { inner.maxTokens }
    var projection: VocabularyProjection { inner.projection }

    func encode(_ contexts: TokenBatch) -> EncoderMemory {
        configuration.work.counts.withLock { $0.encoded += contexts.count }
        return inner.encode(contexts)
    }

    func decode(
        _ inputs: TokenBatch, _ memory: EncoderMemory, attending attended: [[Int]]
    ) -> Tensor {
        // Keys and values are made anew here.
        configuration.work.counts.withLock { $0.prepared += attended.count }
        return inner.decode(inputs, memory, attending: attended)
    }

    func startDecoding(
        _ memory: EncoderMemory, attending attended: [[Int]], maxLength: Int
    ) -> BartGenerator.Cache {
        configuration.work.counts.withLock { $0.prepared += attended.count }
        return inner.startDecoding(memory, attending: attended, maxLength: maxLength)
    }

    func step(_ tokens: [Int32], _ cache: inout BartGenerator.Cache) -> Tensor {
        configuration.work.counts.withLock { $0.stepped += tokens.count }
        return inner.step(tokens, &cache)
    }
}
