/// Examples that cannot be read.
public enum DatasetError: Error, Equatable, CustomStringConvertible {
    case missingFile(String)
    case notUTF8(file: String)
    /// Questions and answers are not as many.
    case countMismatch(sources: String, sourceCount: Int, targets: String, targetCount: Int)
    case empty(file: String)
    /// `line` counts from 1.
    case invalidLine(file: String, line: Int, reason: String)

    public var description: String {
        switch self {
        case .missingFile(let file): "there is no file '\(file)': check the path"
        case .notUTF8(let file): "'\(file)' is not UTF-8 text: convert it"
        case .countMismatch(let sources, let sourceCount, let targets, let targetCount):
            "'\(sources)' has \(sourceCount) lines, '\(targets)' \(targetCount): each question "
                + "needs an answer on the same line"
        case .empty(let file): "'\(file)' holds no example"
        case .invalidLine(let file, let line, let reason): "\(file):\(line): \(reason)"
        }
    }
}
