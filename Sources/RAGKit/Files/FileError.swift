import Foundation

/// A file or folder that the operating system would not open, read, write or move.
///
/// The description names the operation, the path and the system's own reason.
public enum FileError: Error, Equatable, CustomStringConvertible {
    /// A system call failed; `code` is its `errno`.
    case system(operation: String, path: String, code: Int32)
    /// A file that has to be there is not; `advice` says what to do.
    case missing(path: String, advice: String)
    /// The path is a folder, pipe or device where a file was expected.
    case notAFile(path: String)
    /// A file among those of a version has a name that not every file system takes, or that of the
    /// manifest.
    case invalidName(path: String)
    /// Something is already there and the call was not asked to replace it.
    case alreadyExists(path: String)

    public var description: String {
        switch self {
        case .system(let operation, let path, let code):
            let text = String(cString: strerror(code))
            return "cannot \(operation) '\(path)': \(text) (errno \(code))"
        case .missing(let path, let advice):
            return "there is no file '\(path)': \(advice)"
        case .notAFile(let path):
            return "'\(path)' is not a regular file: give the path of a file"
        case .invalidName(let path):
            return "'\(path)' cannot be part of a version: use letters, digits, '-', '.' and '_', "
                + "and another name than the manifest's"
        case .alreadyExists(let path):
            return "'\(path)' already exists: choose another name or remove it first"
        }
    }

    /// True if the file, or a folder on the way to it, does not exist.
    var isMissing: Bool {
        switch self {
        case .system(_, _, ENOENT), .missing: true
        default: false
        }
    }
}
