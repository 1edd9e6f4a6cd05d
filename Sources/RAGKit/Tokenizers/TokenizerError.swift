/// An error while loading, creating, training or saving a tokenizer.
public enum TokenizerError: Error, Equatable, CustomStringConvertible {
    /// No vocabulary was found; `expected` names the files that were looked for.
    case missingFile(directory: String, expected: String)
    /// A file could not be read at all.
    case unreadable(file: String, reason: String)
    /// A file breaks its format; `line` counts from 1.
    case malformed(file: String, line: Int, reason: String)
    /// A binary file breaks its format; `offset` counts bytes from its start.
    case damaged(file: String, offset: Int, reason: String)
    /// A file asks for something that this library does not support.
    case unsupported(file: String, reason: String)
    /// A setting of a tokenizer or trainer is invalid.
    case invalidSetting(name: String, reason: String)
    /// A file could not be written.
    case cannotWrite(file: String, reason: String)

    public var description: String {
        switch self {
        case .missingFile(let directory, let expected):
            "\(directory): no tokenizer found; expected \(expected)."
        case .unreadable(let file, let reason):
            "\(file): cannot be read: \(reason)."
        case .malformed(let file, let line, let reason):
            "\(file), line \(line): \(reason)."
        case .damaged(let file, let offset, let reason):
            "\(file), byte \(offset): \(reason)."
        case .unsupported(let file, let reason):
            "\(file): not supported: \(reason)."
        case .invalidSetting(let name, let reason):
            "Tokenizer setting '\(name)': \(reason)."
        case .cannotWrite(let file, let reason):
            "\(file): cannot be written: \(reason)."
        }
    }
}
