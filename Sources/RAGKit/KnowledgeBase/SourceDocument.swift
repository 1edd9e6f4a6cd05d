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
