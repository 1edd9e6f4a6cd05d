/// A version of a knowledge base, index or checkpoint that cannot be read or written.
public enum VersionError: Error, Equatable, CustomStringConvertible {
    /// A file of a version is not what was written; `remedy` says what to do.
    case damaged(file: String, reason: String, remedy: String)
    /// The version asked for is not there; nil for any version at all.
    case noSuchVersion(name: String?, directory: String, available: [String])
    /// The folder or file is of another kind.
    case foreign(path: String, expected: String, reason: String)
    /// The version was written by an older or newer version of RAGKit.
    case otherFormat(file: String, found: String, expected: Int, remedy: String)
    /// Somebody else is writing, or has written since the folder was opened; `process` is nil where
    /// it is not known.
    case busy(directory: String, process: Int32?)

    public var description: String {
        switch self {
        case .damaged(let file, let reason, let remedy):
            "'\(file)' is damaged: \(reason); \(remedy)"
        case .noSuchVersion(let name, let directory, let available):
            "'\(directory)' has no version\(name.map { " \($0)" } ?? ""); there are "
                + (available.isEmpty ? "none" : available.joined(separator: ", "))
        case .foreign(let path, let expected, let reason):
            "'\(path)' cannot be used as \(expected): \(reason)"
        case .otherFormat(let file, let found, let expected, let remedy):
            "'\(file)' has format version \(found), and this version of RAGKit reads \(expected): "
                + remedy
        case .busy(let directory, let process):
            "'\(directory)' is being written by \(process.map { "process \($0)" } ?? "another process")"
                + ", or was since it was opened: wait for it and open it again"
        }
    }
}
