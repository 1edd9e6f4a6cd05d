/// The number of a passage in its knowledge base: its place, counting from 0.
public struct PassageID: RawRepresentable, Hashable, Comparable, Sendable, Codable,
    ExpressibleByIntegerLiteral, CustomStringConvertible
{
    public let rawValue: Int

    public init(rawValue: Int) { self.rawValue = rawValue }
    public init(_ rawValue: Int) { self.rawValue = rawValue }
    public init(integerLiteral value: Int) { rawValue = value }

    public static func < (first: PassageID, second: PassageID) -> Bool {
        first.rawValue < second.rawValue
    }

    public var description: String { String(rawValue) }
}

/// Where a passage comes from.
public struct Provenance: Hashable, Sendable, Codable {
    /// The document's own id, or `file:line` if it had none.
    public var document: String
    /// Which piece of the document this is, counting from 0.
    public var piece: Int

    public init(document: String, piece: Int) {
        self.document = document
        self.piece = piece
    }
}

/// A piece of text that can be retrieved, with its title.
public struct Passage: Hashable, Sendable, Codable, Identifiable {
    public var id: PassageID
    public var title: String
    public var text: String
    public var provenance: Provenance

    /// - Parameter provenance: If nil, the passage counts as a document of its own, named by its id.
    public init(id: PassageID, title: String, text: String, provenance: Provenance? = nil) {
        self.id = id
        self.title = title
        self.text = text
        self.provenance = provenance ?? Provenance(document: id.description, piece: 0)
    }
}

/// A whole text with its title, before it is split into passages.
public struct SourceDocument: Hashable, Sendable {
    /// The document's own id, or `file:line` if it had none.
    public var id: String
    public var title: String
    public var text: String

    public init(id: String, title: String, text: String) {
        self.id = id
        self.title = title
        self.text = text
    }
}
