import Foundation

/// A file or folder that the operating system would not open, read, write or move.
///
/// The description names the operation, the path and the system's own reason.
public enum FileError: Error, Equatable, CustomStringConvertible {
    /// A system call failed; `code` is its `errno`.
    case system(operation: String, path: String, code: Int32)
    /// The path is a folder, pipe or device where a file was expected.
    case notAFile(path: String)
    /// Something is already there and the call was not asked to replace it.
    case alreadyExists(path: String)

    public var description: String {
        switch self {
        case .system(let operation, let path, let code):
            let text = String(cString: strerror(code))
            return "cannot \(operation) '\(path)': \(text) (errno \(code))"
        case .notAFile(let path):
            return "'\(path)' is not a regular file: give the path of a file"
        case .alreadyExists(let path):
            return "'\(path)' already exists: choose another name or remove it first"
        }
    }

    /// Whether the file, or a folder on the way to it, does not exist.
    var isMissing: Bool {
        if case .system(_, _, ENOENT) = self { return true }
        return false
    }
}
