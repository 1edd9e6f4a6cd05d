/// The counts of an import, so that nothing is left out in silence.
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
