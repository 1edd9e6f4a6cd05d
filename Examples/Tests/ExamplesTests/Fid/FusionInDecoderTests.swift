import RAGKit
import Testing

@testable import Fid

@Suite struct FusionInDecoderTests {
    private static let passages = [
        Passage(id: 0, title: "Helium", text: "Helium is a gas. Its symbol is He."),
        Passage(id: 1, title: "Iron", text: "Iron is a metal. Its symbol is Fe."),
        Passage(id: 2, title: "Mercury", text: "Mercury is a liquid metal."),
    ]

    /// A tiny model over the three passages.
    private static func fusion(nDocs: Int) throws -> FusionInDecoder {
        let texts = passages.flatMap { [$0.title, " " + $0.text] }
        let wordPiece = try WordPieceTrainer(vocabularySize: 200, minimumFrequency: 1).train(
            on: texts)
        let bytePair = try ByteBPETrainer(vocabularySize: 300, minimumFrequency: 1).train(on: texts)
        var bert = BertConfiguration()
        bert.vocabSize = wordPiece.vocabularySize
        bert.hiddenSize = 8
        bert.numHiddenLayers = 1
        bert.numAttentionHeads = 2
        bert.intermediateSize = 8
        bert.maxPositionEmbeddings = 64
        var bart = BartConfiguration()
        bart.vocabSize = bytePair.vocabularySize
        bart.dModel = 8
        bart.encoder = .init(layers: 1, heads: 2, ffnDim: 12)
        bart.decoder = .init(layers: 2, heads: 2, ffnDim: 12)
        bart.maxPositionEmbeddings = 96
        bart.dropout = 0
        bart.initStd = 0.3
        let encoder = DPREncoder(configuration: DPRConfiguration(role: .question, bert: bert))
        let generator = BartGenerator(configuration: bart)
        var random = SeededGenerator(seed: 3)
        encoder.initialize(using: &random)
        generator.initialize(using: &random)
        let base = KnowledgeBase(passages: passages)
        let rag = try RagModel(
            questionEncoder: encoder, questionTokenizer: wordPiece, generator: generator,
            generatorTokenizer: bytePair,
            retriever: DenseRetriever(
                base, vectors: PassageEncoder(tokenizer: wordPiece).encode(base, with: encoder)))
        rag.configuration.nDocs = nDocs
        rag.generation.maxLength = 8
        return FusionInDecoder(rag: rag)
    }

    private static let questions = ["What is the symbol of iron?", "What is mercury?"]
    private static let answers = ["Fe", "a liquid metal"]

    @Test func oneDocumentIsThePlainGenerator() async throws {
        let fusion = try Self.fusion(nDocs: 1)
        let rag = fusion.rag
        let evidence = try await fusion.evidence(Self.questions)
        let loss = fusion.loss(evidence, try rag.targetTokens(Self.answers))
        let plain = try rag.loss(
            vectors: rag.questionEncoder(rag.questionTokens(Self.questions)), evidence: evidence,
            targets: rag.targetTokens(Self.answers))
        #expect(loss.weight == plain.targetTokens)
        expectClose(loss.sum, plain.sum)
        let answers = try await rag.answer(Self.questions)
        #expect(try await fusion.answer(Self.questions) == answers.map(\.text))
    }

    @Test func documentsAreReadAsOneInAnyOrder() async throws {
        let fusion = try Self.fusion(nDocs: 3)
        let generator = fusion.rag.generator
        let evidence = try await fusion.evidence(Self.questions)
        let targets = try fusion.rag.targetTokens(Self.answers)
        let memory = generator.encode(evidence.contexts)
        var sum: Float = 0
        for question in 0..<2 {
            // The three contexts' states as those of one context, the last first.
            let parts = [2, 1, 0].map { document in
                let context = 3 * question + document
                return memory.hidden.slice(memory.offsets[context]..<memory.offsets[context + 1])
            }
            let whole = Tensor.concatenated(parts)
            let target = Array(targets[question])
            let states = generator.decode(
                TokenBatch([[generator.tokenIDs.decoderStart] + target.dropLast()]),
                EncoderMemory(hidden: whole, offsets: [0, whole.dim(0)]), attending: [[0]])
            let rows = generator.projection.logits(states).logSoftmax()
            sum -= rows.elements(at: target).sum().item()
        }
        expectClose(fusion.loss(evidence, targets).sum, Tensor(sum))
    }

    @Test func aDocumentThatIsNotThereIsNotRead() async throws {
        let fusion = try Self.fusion(nDocs: 3)
        let lists = [Self.passages, [Self.passages[1]]].map { list in
            list.map { RetrievedPassage(passage: $0, score: 0) }
        }
        let both = try fusion.rag.evidence(Self.questions, passages: RetrievalResult(lists))
        #expect(fusion.attended(both) == [[0, 1, 2], [3]])
        let targets = try fusion.rag.targetTokens(Self.answers)
        let alone = try [0, 1].map { row in
            try fusion.loss(
                fusion.rag.evidence([Self.questions[row]], passages: [lists[row]]),
                TokenBatch([Array(targets[row])])
            ).sum
        }
        expectClose(fusion.loss(both, targets).sum, alone[0] + alone[1])
    }

    @Test func everyParameterOfTheGeneratorIsReached() async throws {
        let fusion = try Self.fusion(nDocs: 2)
        let task = FusionTask(fusion)
        let batch = try await task.prepare(
            zip(Self.questions, Self.answers).map { RagExample(question: $0, answers: [$1]) })
        expectGradients(of: { fusion.loss(batch.evidence, batch.targets).sum }, in: task.model) {
            $0.hasSuffix("k_proj.bias")
        }
    }
}
