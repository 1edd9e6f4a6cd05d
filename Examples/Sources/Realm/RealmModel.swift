import RAGKit

/// REALM: an embedder that finds passages, and a reader that fills in hidden words, or answers, from
/// the text and a passage together.
///
/// Source: Guu et al. 2020, arXiv:2002.08909; the names of the parts are those of transformers'
/// deprecated implementation.
public final class RealmModel: Module {
    @ModuleInfo(key: "query_embedder") public var questions: RealmEmbedder
    @ModuleInfo(key: "embedder") public var passages: RealmEmbedder
    @ModuleInfo public var reader: RealmReader

    public init(_ embedder: RealmEmbedder.Configuration, reader: RealmReader.Configuration) {
        super.init()
        questions = RealmEmbedder(configuration: embedder)
        passages = RealmEmbedder(configuration: embedder)
        self.reader = RealmReader(reader)
    }
}

/// BERT's first state (or the mean of all), projected to a small vector.
public final class RealmEmbedder: Module, TextEncoder {
    public struct Configuration: Sendable {
        public var bert: BertConfiguration
        /// The length of the vectors.
        public var projection = 128
        /// True if vectors go through a layer norm, as in the released models.
        public var normalizes = true
        /// With random weights, only the mean finds passages that share words.
        public var pooling = Pooling.cls

        public init(bert: BertConfiguration) { self.bert = bert }
    }

    public let configuration: Configuration
    @ModuleInfo(key: "realm") var bert: BertModel
    @ModuleInfo(key: "cls.dense") var dense: Linear
    @ModuleInfo(key: "cls.LayerNorm") var norm: LayerNorm?

    public init(configuration: Configuration) {
        self.configuration = configuration
        let bert = configuration.bert
        super.init()
        self.bert = BertModel(bert)
        dense = Linear(
            bert.hiddenSize, configuration.projection,
            initialization: .normal(standardDeviation: bert.initializerRange))
        norm =
            configuration.normalizes
            ? LayerNorm(configuration.projection, epsilon: bert.layerNormEps) : nil
    }

    public var vocabularySize: Int { configuration.bert.vocabSize }
    public var dimension: Int { configuration.projection }
    public var maxTokens: Int? { configuration.bert.maxPositionEmbeddings }

    public func callAsFunction(_ batch: TokenBatch) -> Tensor {
        let projected = dense(bert(batch, pooling: configuration.pooling))
        return norm.map { $0(projected) } ?? projected
    }
}

/// BERT over text and passage together, with a head for hidden words and one for answer spans.
public final class RealmReader: Module {
    public struct Configuration: Sendable {
        public var bert: BertConfiguration
        /// The width of the span head.
        public var spanHiddenSize = 256
        /// The longest answer, in tokens.
        public var maxSpanWidth = 10
        public var readerLayerNormEps: Float = 1e-3

        public init(bert: BertConfiguration) { self.bert = bert }
    }

    public let configuration: Configuration
    @ModuleInfo(key: "realm") var bert: BertModel
    @ModuleInfo(key: "cls.predictions") var words: BertMaskedLMHead
    @ModuleInfo(key: "qa_outputs") var spans: SpanHead

    public init(_ configuration: Configuration) {
        self.configuration = configuration
        super.init()
        bert = BertModel(configuration.bert)
        words = BertMaskedLMHead(configuration.bert, tying: bert.wordEmbeddings)
        spans = SpanHead(configuration)
    }

    /// The log-probability of each hidden token, given each document.
    ///
    /// - Parameters:
    ///   - inputs: `texts · documents` joint sequences, a text's together.
    ///   - texts: what was hidden, at the same places of all its joint sequences.
    /// - Returns: `[hiddenTokens, documents]`, a text's tokens together.
    public func logProbabilities(
        _ inputs: TokenBatch, hiding texts: [(positions: [Int], labels: [Int32])]
    ) -> Tensor {
        let documents = inputs.count / max(texts.count, 1)
        var rows: [Int32] = []
        for (index, text) in texts.enumerated() {
            for position in text.positions {
                rows += (0..<documents).map {
                    Int32(inputs.offsets[index * documents + $0] + position)
                }
            }
        }
        let targets = texts.flatMap { text in
            text.labels.flatMap { repeatElement($0, count: documents) }
        }
        return words.logProbabilities(bert(inputs, at: rows), targets: targets)
            .reshaped([targets.count / documents, documents])
    }

    /// The same for texts with their passages, a text's together.
    public func logProbabilities(
        _ texts: [MaskedText], _ passages: [Passage], _ input: RealmInput
    ) -> Tensor {
        let documents = passages.count / max(texts.count, 1)
        let joint = passages.enumerated().map { place, passage in
            input.joint(texts[place / documents].ids, passage)
        }
        return logProbabilities(
            TokenBatch(joint.map(\.ids), typeIDs: joint.map(\.types)),
            hiding: texts.map(\.hidden))
    }

    /// The score of every span: what it is itself, and how relevant its passage is.
    ///
    /// - Parameter relevance: of each joint sequence, `[inputs.count]`.
    /// - Returns: `[spans]`.
    public func spanScores(_ inputs: TokenBatch, _ spans: Spans, relevance: Tensor) -> Tensor {
        self.spans(bert(inputs), spans) + relevance.rows(spans.sequence)
    }
}

/// Makes the ids of texts and passages.
public struct RealmInput: Sendable {
    public let tokenizer: any Tokenizer
    let (cls, sep, mask): (Int32, Int32, Int32)
    /// The longest joint sequence, in tokens.
    public var limit: Int

    /// - Throws: `RealmError.missingToken` unless the tokenizer is one of BERT's kind.
    public init(tokenizer: any Tokenizer, limit: Int) throws {
        let special = tokenizer.specialTokens
        guard let cls = special.cls, let sep = special.sep, let mask = special.mask else {
            throw RealmError.missingToken
        }
        self.tokenizer = tokenizer
        self.limit = limit
        (self.cls, self.sep, self.mask) = (cls, sep, mask)
    }

    /// `[CLS] text [SEP]`: what the embedder reads.
    public func alone(_ ids: [Int32]) -> [Int32] { [cls] + ids.prefix(limit - 2) + [sep] }

    /// `[CLS] text [SEP] passage [SEP]`, with the passage as the second type and cut to fit.
    ///
    /// - Returns: also the places of the passage's tokens.
    public func joint(
        _ ids: [Int32], _ passage: Passage
    ) -> (ids: [Int32], types: [Int32], passage: Range<Int>) {
        let text = alone(ids)
        let body = tokenizer.ids(of: passage.text).prefix(max(0, limit - text.count - 1))
        let types =
            [Int32](repeating: 0, count: text.count)
            + [Int32](repeating: 1, count: body.count + 1)
        return (text + body + [sep], types, text.count..<text.count + body.count)
    }
}

/// Training that cannot be done.
public enum RealmError: Error, CustomStringConvertible {
    case missingToken
    case nothingToHide

    public var description: String {
        switch self {
        case .missingToken:
            "the tokenizer has no [CLS], [SEP] or [MASK]: REALM needs one of BERT's kind"
        case .nothingToHide:
            "no text of a batch has a word to hide and is short enough to be read whole"
        }
    }
}
