/// What a retriever wants to know of a question.
public struct QueryNeeds: OptionSet, Sendable {
    public let rawValue: Int
    public init(rawValue: Int) { self.rawValue = rawValue }

    /// The words of the question.
    public static let text = QueryNeeds(rawValue: 1)
    /// The question encoder's vector.
    public static let vector = QueryNeeds(rawValue: 2)
}

/// One question to a retriever.
public struct RetrievalQuery: Sendable {
    /// The question; empty where only its vector is known.
    public var text: String
    /// The question's vector, `[dimension]`; `nil` where the retriever does not need one.
    public var vector: Tensor?
    /// Passages that must not be found, such as the one a training text was taken from.
    public var excluded: Set<PassageID>

    public init(text: String, vector: Tensor? = nil, excluded: Set<PassageID> = []) {
        self.text = text
        self.vector = vector
        self.excluded = excluded
    }

    /// One query for each text of a batch.
    ///
    /// - Parameters:
    ///   - vectors: `[texts, dimension]`; only the values are used.
    ///   - excluding: what must not be found, one set for each text.
    public static func batch(
        _ texts: [String], vectors: Tensor, excluding: [Set<PassageID>]? = nil
    ) -> [RetrievalQuery] {
        texts.enumerated().map { index, text in
            RetrievalQuery(
                text: text,
                vector: vectors.detached.slice(index..<index + 1).reshaped([vectors.dim(1)]),
                excluded: excluding?[index] ?? [])
        }
    }
}

/// A passage that was found.
public struct RetrievedPassage: Sendable {
    public var passage: Passage
    /// How well it fits the question, by the retriever's own measure; higher is better.
    public var score: Float
    /// The vector the retriever knows it by, `[dimension]`, if it has one.
    public var vector: Tensor?

    public init(passage: Passage, score: Float, vector: Tensor? = nil) {
        self.passage = passage
        self.score = score
        self.vector = vector
    }
}

/// Finds passages for questions: an index over vectors, a keyword search, a service, a fixed list.
///
/// For each query it returns at most `count` passages, best first, no passage twice and none that is
/// excluded; fewer only when there are no more. It may be called from several tasks at once.
/// `RetrieverContract` checks it.
public protocol Retriever: Sendable {
    /// What queries must hold.
    var needs: QueryNeeds { get }

    /// - Returns: one list for each query, in their order.
    func passages(for queries: [RetrievalQuery], count: Int) async throws -> [[RetrievedPassage]]
}

/// A retriever whose index can be replaced by one made with newer encoder weights.
public protocol RefreshableRetriever: Retriever {
    /// The version that searches use now.
    var version: IndexVersion { get }
    /// The passages that every version indexes.
    var knowledgeBase: KnowledgeBase { get }
    /// Makes `version` the one that searches use from now on; those under way keep theirs.
    ///
    /// - Throws: `RetrievalError` when it does not fit the knowledge base.
    func publish(_ version: IndexVersion) throws
}

/// An index, and what it was made with.
public struct IndexVersion: Sendable {
    public var index: any VectorIndex
    /// The optimizer step whose encoder made the vectors; 0 before training.
    public var step: Int
    /// Counts the versions of a run, from 0.
    public var number: Int

    public init(index: any VectorIndex, step: Int = 0, number: Int = 0) {
        self.index = index
        self.step = step
        self.number = number
    }
}

/// A retrieval that cannot be done.
public enum RetrievalError: Error, Equatable, CustomStringConvertible {
    /// Queries and index have vectors of different lengths.
    case dimensionMismatch(expected: Int, found: Int)
    /// A query lacks what the retriever needs.
    case missingVector(query: Int)
    /// Fewer than one passage was asked for.
    case invalidCount(Int)
    /// The index has another number of vectors than the knowledge base has passages.
    case countMismatch(passages: Int, vectors: Int)
    /// Training wants more documents for a question than the knowledge base has passages.
    case tooFewPassages(wanted: Int, found: Int)
    /// There is no passage for a query: all are excluded, or there are none.
    case noPassages(query: Int)
    /// The retriever returned something that its promise excludes.
    case brokenPromise(String)

    public var description: String {
        switch self {
        case .dimensionMismatch(let expected, let found):
            "the index holds vectors of \(expected) numbers, the question encoder makes \(found): "
                + "use the encoders that made the index, or make it anew"
        case .missingVector(let query):
            "query \(query) has no vector, which this retriever needs"
        case .invalidCount(let count):
            "\(count) passages were asked for; ask for at least 1"
        case .countMismatch(let passages, let vectors):
            "the index has \(vectors) vectors for \(passages) passages: make it anew from this "
                + "knowledge base"
        case .tooFewPassages(let wanted, let found):
            "\(wanted) documents are wanted for each question, and the knowledge base has \(found) "
                + "passages: set `configuration.nDocs` to at most \(found), or add passages"
        case .noPassages(let query):
            "there is no passage for query \(query): all are excluded, or there are none; exclude "
                + "fewer, or let the candidates hold the null document"
        case .brokenPromise(let promise):
            "the retriever broke a promise: \(promise)"
        }
    }
}
