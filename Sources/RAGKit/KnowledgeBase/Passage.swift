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

extension Passage {
    /// The empty document: no title, no text, and an id that no knowledge base has.
    public static let null = Passage(id: -1, title: "", text: "")

    /// True for the empty document.
    public var isNull: Bool { id == Self.null.id }
}
