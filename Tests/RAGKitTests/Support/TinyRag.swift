import Foundation
import Testing

@testable import RAGKit

/// A RAG model small enough to compare with plain loops and small steps: random weights of generic
/// size, the golden folder's tokenizers, six passages and three questions of our own.
enum TinyRag {
    static let passages: [Passage] = [
        ("Helium", "Helium is a light gas that does not burn. It was first seen in the sun."),
        ("Bees", "A bee dances in the hive to tell the others where the flowers are."),
        ("Salt lake", "The lake has no outlet, so its water grows saltier every year."),
        ("Iron", "Iron rusts in wet air. A coat of zinc keeps the water away from it."),
        ("Owls", "Owls hunt by night. Their feathers make almost no sound in flight."),
        ("Tides", "The moon pulls the sea up on both sides of the earth, twice a day."),
    ].enumerated().map { Passage(id: PassageID($0), title: $1.0, text: $1.1) }

    static let questions = ["Where was helium first seen?", "What keeps iron dry?", "Why tides?"]
    static let answers = ["in the sun", "a coat of zinc", "the moon pulls"]
    /// Passages of each question; question 0 and 2 share one.
    static let lists = [[0, 2, 5], [3, 1, 4], [5, 4, 0]]

    static var examples: [RagExample] {
        zip(questions, answers).map { RagExample(question: $0, answers: [$1]) }
    }

    static func folder() throws -> URL { try #require(Golden.all.first).folder }

    static func tokenizer(_ name: String) throws -> any Tokenizer {
        try AutoTokenizer.load(contentsOf: folder().appendingPathComponent(name))
    }

    static func encoder(
        _ role: EncoderRole, vocabulary: Int, dropout: Float = 0, seed: UInt64, dimension: Int = 6,
        maxTokens: Int = 64
    ) -> DPREncoder {
        var bert = BertConfiguration()
        bert.vocabSize = vocabulary
        bert.hiddenSize = 12
        bert.numHiddenLayers = 1
        bert.numAttentionHeads = 2
        bert.intermediateSize = 16
        bert.maxPositionEmbeddings = maxTokens
        bert.hiddenDropoutProb = dropout
        bert.attentionProbsDropoutProb = dropout
        var config = DPRConfiguration(role: role, bert: bert)
        config.projectionDim = dimension
        let encoder = DPREncoder(configuration: config)
        encoder.randomize(seed: seed, initializing: false)
        return encoder
    }

    static func generator(vocabulary: Int, dropout: Float = 0, seed: UInt64) -> BartGenerator {
        var config = BartConfiguration()
        config.vocabSize = vocabulary
        config.dModel = 12
        config.encoder = .init(layers: 1, heads: 2, ffnDim: 16)
        config.decoder = .init(layers: 1, heads: 2, ffnDim: 16)
        config.maxPositionEmbeddings = 96
        config.dropout = dropout
        config.attentionDropout = dropout
        config.activationDropout = dropout
        let generator = BartGenerator(configuration: config)
        generator.randomize(seed: seed, initializing: false)
        return generator
    }

    /// A model whose index vectors have nothing to do with its context encoder, so that it shows
    /// which of them a score was made with.
    static func model(
        _ kind: Marginalization = .token, endToEnd: Bool = true, dropout: Float = 0,
        seed: UInt64 = 1
    ) throws -> RagModel {
        let words = try tokenizer("question_encoder_tokenizer")
        let pieces = try tokenizer("generator_tokenizer")
        var configuration = RagConfiguration()
        configuration.marginalization = kind
        configuration.nDocs = 3
        configuration.maxCombinedLength = 90
        let model = try RagModel(
            questionEncoder: encoder(
                .question, vocabulary: words.vocabularySize, dropout: dropout, seed: seed),
            questionTokenizer: words,
            generator: generator(
                vocabulary: pieces.vocabularySize, dropout: dropout, seed: seed + 100),
            generatorTokenizer: pieces, retriever: retriever(), configuration: configuration)
        model.generation.maxLength = 8
        if endToEnd {
            try model.setContextEncoder(
                encoder(
                    .context, vocabulary: words.vocabularySize, dropout: dropout, seed: seed + 200))
            model.setContextEncoderTokenizer(words)
        }
        return model
    }

    static func indexVectors(dimension: Int = 6, seed: UInt64 = 9) -> Tensor {
        var numbers = SeededGenerator(seed: seed)
        return .randomNormal([passages.count, dimension], using: &numbers)
    }

    static func retriever(dimension: Int = 6) throws -> DenseRetriever {
        try DenseRetriever(
            KnowledgeBase(passages: passages), vectors: indexVectors(dimension: dimension))
    }

    /// The passages of `lists`, with index vectors unless told otherwise, scored 0.5, 1, 1.5, ….
    static func found(
        _ lists: [[Int]] = lists, withVectors: Bool = true
    ) -> RetrievalResult {
        let found = lists.map { list in
            list.enumerated().map { place, id in
                RetrievedPassage(passage: passages[id], score: Float(place + 1) / 2)
            }
        }
        guard withVectors else { return RetrievalResult(found) }
        let ids = Set(lists.joined()).sorted()
        return RetrievalResult(
            found,
            vectors: PassageVectors(
                ids: ids.map { PassageID($0) },
                vectors: indexVectors().rows(ids.map { Int32($0) })))
    }

    /// The loss of the three answers given `lists`.
    static func loss(
        _ model: RagModel, lists: [[Int]] = lists, scores: [[Float]]? = nil,
        withVectors: Bool = true, smoothing: Float? = nil
    ) throws -> RagLoss {
        let evidence = try model.evidence(
            questions, passages: found(lists, withVectors: withVectors), scores: scores)
        return try model.loss(
            vectors: model.questionEncoder(model.questionTokens(questions)), evidence: evidence,
            targets: model.targetTokens(answers), smoothing: smoothing)
    }
}

/// The RAG losses as the paper and the reference say them, from full logits, one question, document
/// and token at a time, in Double.
struct NaiveRag {
    /// `log softmax` of the logits: question, document, token, vocabulary.
    let logProbabilities: [[[[Double]]]]
    /// Log-probability of each question's documents.
    let priors: [[Double]]
    let labels: [[Int]]

    /// - Parameter start: put before each target; without it the target's first token starts.
    init(
        _ model: RagModel, contexts: TokenBatch, scores: [[Double]], targets: [[Int32]],
        start: Int32?
    ) {
        let wholes = targets.map { (start.map { [$0] } ?? []) + $0 }
        var next = 0
        logProbabilities = scores.indices.map { question in
            scores[question].map { _ in
                let memory = model.generator.encode(TokenBatch([Array(contexts[next])]))
                next += 1
                let hidden = model.generator.decode(
                    TokenBatch([Array(wholes[question].dropLast())]), memory, attending: [[0]])
                let logits = model.generator.projection.logits(hidden)
                let size = logits.dim(1)
                return (0..<logits.dim(0)).map { row in
                    Self.logSoftmax(Array(logits.doubles[row * size..<(row + 1) * size]))
                }
            }
        }
        priors = scores.map(Self.logSoftmax)
        labels = wholes.map { $0.dropFirst().map { Int($0) } }
    }

    static func logSumExp(_ values: [Double]) -> Double {
        let largest = values.max() ?? 0
        return largest + log(values.reduce(0) { $0 + exp($1 - largest) })
    }

    static func logSoftmax(_ values: [Double]) -> [Double] {
        let sum = logSumExp(values)
        return values.map { $0 - sum }
    }

    /// RAG-token's loss of one question.
    func token(_ question: Int, smoothing: Double = 0) -> Double {
        let (documents, prior) = (logProbabilities[question], priors[question])
        func marginal(_ token: Int, _ word: Int) -> Double {
            Self.logSumExp(documents.indices.map { documents[$0][token][word] + prior[$0] })
        }
        let (size, tokens) = (documents[0][0].count, labels[question].indices)
        let nll = -tokens.reduce(0) { $0 + marginal($1, labels[question][$1]) }
        guard smoothing > 0 else { return nll }
        let smooth = -tokens.reduce(0) { sum, token in
            sum + (0..<size).reduce(0) { $0 + marginal(token, $1) }
        }
        return (1 - smoothing) * nll + smoothing / Double(size) * smooth
    }

    /// RAG-sequence's loss of one question.
    ///
    /// - Parameters:
    ///   - skip: how many tokens at the beginning do not count.
    ///   - atSecondToken: the documents' probability enters at the second token, if there is one,
    ///     for every entry of the vocabulary.
    func sequence(
        _ question: Int, smoothing: Double = 0, skip: Int = 0, atSecondToken: Bool = false
    ) -> Double {
        let (documents, prior) = (logProbabilities[question], priors[question])
        let (size, tokens) = (documents[0][0].count, labels[question].indices)
        let enters = !atSecondToken || labels[question].count > 1
        let nll = -Self.logSumExp(
            documents.indices.map { document in
                tokens.dropFirst(skip).reduce(enters ? prior[document] : 0) {
                    $0 + documents[document][$1][labels[question][$1]]
                }
            })
        guard smoothing > 0 else { return nll }
        let times = enters ? (atSecondToken ? Double(size) : 1) : 0
        let smooth = -Self.logSumExp(
            documents.indices.map { document in
                tokens.reduce(times * prior[document]) {
                    $0 + documents[document][$1].reduce(0, +)
                }
            })
        return (1 - smoothing) * nll + smoothing / Double(size) * smooth
    }
}
