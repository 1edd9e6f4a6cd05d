/// A retrieval that cannot be done.
public enum RetrievalError: Error, Equatable, CustomStringConvertible {
    /// The queries lack the vectors that the retriever needs.
    case missingVectors
    /// The index has another number of vectors than the knowledge base has passages.
    case countMismatch(passages: Int, vectors: Int)
    /// The store holds no version of an index yet.
    case emptyStore(directory: String)
    /// Training wants more documents for a question than the knowledge base has passages.
    case tooFewPassages(wanted: Int, found: Int)
    /// There is no passage for a query: all are excluded, or there are none.
    case noPassages(query: Int)
    /// The retriever returned something that its contract excludes.
    case contractViolation(String)

    public var description: String {
        switch self {
        case .missingVectors:
            "the queries have no vectors, which this retriever needs"
        case .countMismatch(let passages, let vectors):
            "the index has \(vectors) vectors for \(passages) passages: build it again from this "
                + "knowledge base"
        case .emptyStore(let directory):
            "'\(directory)' holds no version of an index: encode the knowledge base first"
        case .tooFewPassages(let wanted, let found):
            "\(wanted) documents are wanted for each question, and the knowledge base has \(found) "
                + "passages: set `configuration.nDocs` to at most \(found), or add passages"
        case .noPassages(let query):
            "there is no passage for query \(query): all are excluded, or there are none; exclude "
                + "fewer, or let the candidates hold the null document"
        case .contractViolation(let violation):
            "the retriever violates its contract: \(violation)"
        }
    }
}
