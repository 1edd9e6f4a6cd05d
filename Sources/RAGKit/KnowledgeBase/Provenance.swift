/// The document that a passage comes from, and its place in it.
public struct Provenance: Hashable, Sendable, Codable {
    /// The document's own id, or `file:line` if it had none.
    public var document: String
    /// The number of the piece within the document, counting from 0.
    public var piece: Int

    public init(document: String, piece: Int) {
        self.document = document
        self.piece = piece
    }
}
