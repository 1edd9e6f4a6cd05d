/// A text file that gives no passages, or a passage or token ids that do not fit a knowledge base.
///
/// Damaged and foreign folders are reported as ``VersionError``.
public enum KnowledgeBaseError: Error, Equatable, CustomStringConvertible {
    /// A row that is not what the format asks for. Lines count from 1; `byte` is the distance of
    /// the fault from the start of the file.
    case badRow(file: String, line: Int, byte: Int, reason: String)
    /// The source holds nothing to make a knowledge base of.
    case noPassages(source: String, reason: String)
    /// A passage was asked for that is not there.
    case noSuchPassage(id: PassageID, count: Int)
    /// Token ids that do not belong to the passages.
    case tokensDoNotFit(fingerprint: String, reason: String)

    public var description: String {
        switch self {
        case .badRow(let file, let line, let byte, let reason):
            "\(file):\(line): \(reason) (byte \(byte) of the file); correct the row, "
                + "or choose to skip bad rows"
        case .noPassages(let source, let reason):
            "'\(source)' gives no passages: \(reason)"
        case .noSuchPassage(let id, let count):
            "there is no passage \(id): the knowledge base holds passages 0..<\(count)"
        case .tokensDoNotFit(let fingerprint, let reason):
            "token ids of tokenizer '\(fingerprint)' do not fit the passages: \(reason)"
        }
    }
}
