/// A knowledge base, or a text file to make one from, that cannot be read or written.
public enum KnowledgeBaseError: Error, Equatable, CustomStringConvertible {
    /// A row that is not what the format asks for. Lines count from 1; `byte` is the distance of
    /// the fault from the start of the file.
    case badRow(file: String, line: Int, byte: Int, reason: String)
    /// There is nothing to make a knowledge base of.
    case noPassages(source: String, reason: String)
    /// A file of the knowledge base is not what was written.
    case damaged(file: String, reason: String)
    /// The folder is not a knowledge base, or not one that this version reads.
    case notAKnowledgeBase(directory: String, reason: String)
    /// A passage was asked for that is not there.
    case noSuchPassage(id: PassageID, count: Int)
    /// Token ids that do not belong to the passages.
    case tokensDoNotFit(fingerprint: String, reason: String)
    /// Somebody else is writing.
    case busy(directory: String)

    public var description: String {
        switch self {
        case .badRow(let file, let line, let byte, let reason):
            "\(file):\(line): \(reason) (byte \(byte) of the file); correct the row, "
                + "or choose to skip bad rows"
        case .noPassages(let source, let reason):
            "'\(source)' gives no passages: \(reason)"
        case .damaged(let file, let reason):
            "'\(file)' is damaged: \(reason); restore it from a copy or build it again"
        case .notAKnowledgeBase(let directory, let reason):
            "'\(directory)' cannot be used as a knowledge base: \(reason)"
        case .noSuchPassage(let id, let count):
            "there is no passage \(id): the knowledge base holds passages 0..<\(count)"
        case .tokensDoNotFit(let fingerprint, let reason):
            "token ids of tokenizer '\(fingerprint)' do not fit the passages: \(reason)"
        case .busy(let directory):
            "'\(directory)' is being written by another process, or was since it was opened: "
                + "wait for it and open the knowledge base again"
        }
    }
}

/// What an import found, so that nothing is left out in silence.
public struct ImportReport: Sendable, Equatable, CustomStringConvertible {
    /// Rows that hold a document, good or bad; without header and blank lines.
    public internal(set) var rows = 0
    /// Rows left out because they break the format.
    public internal(set) var badRows = 0
    /// The first of them, ten at most.
    public internal(set) var firstBadRows: [KnowledgeBaseError] = []
    /// Lines with nothing in them, left out.
    public internal(set) var blankLines = 0
    /// Documents left out because their text is empty or white space.
    public internal(set) var emptyTexts = 0
    /// Passages made.
    public internal(set) var passages = 0

    public init() {}

    public var description: String {
        var parts = ["\(rows) rows read, \(passages) passages made"]
        if badRows > 0 { parts.append("\(badRows) bad rows skipped") }
        if blankLines > 0 { parts.append("\(blankLines) blank lines skipped") }
        if emptyTexts > 0 { parts.append("\(emptyTexts) empty texts skipped") }
        return parts.joined(separator: ", ")
    }

    mutating func note(_ badRow: KnowledgeBaseError) {
        badRows += 1
        if firstBadRows.count < 10 { firstBadRows.append(badRow) }
    }
}
