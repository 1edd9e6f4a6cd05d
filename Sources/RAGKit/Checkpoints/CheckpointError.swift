/// A checkpoint that cannot be read or written, or does not fit the model.
public enum CheckpointError: Error, Equatable, CustomStringConvertible {
    /// A file that has to be there is not; `advice` says what to do.
    case missingFile(file: String, advice: String)
    /// The file breaks its format; `offset` counts bytes from the start of the file.
    case malformed(file: String, offset: Int, reason: String)
    /// The file is of another kind; `sentence` says what it looks like and what to do.
    case foreign(file: String, expected: String, _ sentence: String)
    /// The file asks for something that could do more than build tensors. Nothing of it was run.
    case forbidden(file: String, name: String)
    /// The list of a model's shards names files or tensors that are not there, or may not be read.
    case invalidIndex(file: String, reason: String)
    /// No name in the file is one that the model could have.
    case unknownLayout(file: String, expected: String, found: [String])
    /// The file's header names no such tensor.
    case missingTensor(file: String, name: String)
    /// A tensor has an element type that cannot be used in its place.
    case wrongType(file: String, tensor: String, expected: String, found: String)
    /// The bytes offered for a tensor do not fill its shape, or are more than it holds.
    case wrongByteCount(tensor: String, expected: Int, found: Int)
    /// A tensor cannot be written under this name or shape.
    case invalidTensor(name: String, reason: String)
    /// Every name that did not line up, so that one run shows the whole problem.
    case doesNotFit(missing: [String], unexpected: [String], wrongShape: [String])

    public var description: String {
        switch self {
        case .missingFile(let file, let advice):
            return "there is no file '\(file)': \(advice)"
        case .malformed(let file, let offset, let reason):
            return "'\(file)' is damaged or not what its name says: at byte \(offset), \(reason)"
        case .foreign(let file, let expected, let sentence):
            return "'\(file)' is not \(expected): \(sentence)"
        case .forbidden(let file, let name):
            return
                "'\(file)' asks for \(name), which weights do not need and could run code: it is "
                + "refused, and nothing of it was run; save the model's state_dict() as safetensors"
        case .invalidIndex(let file, let reason):
            return "'\(file)' is not a usable list of shards: \(reason)"
        case .unknownLayout(let file, let expected, let found):
            let shown = found.prefix(5).map { "'\($0)'" }.joined(separator: ", ")
            return
                "'\(file)' holds no \(expected): its first names are \(shown)"
                + (found.count > 5 ? ", … (\(found.count))" : "")
        case .missingTensor(let file, let name):
            return "'\(file)' holds no tensor '\(name)'"
        case .wrongType(let file, let tensor, let expected, let found):
            return
                "'\(file)': tensor '\(tensor)' has elements of type \(found), expected \(expected)"
        case .wrongByteCount(let tensor, let expected, let found):
            return "tensor '\(tensor)' needs \(expected) bytes for its shape, got \(found)"
        case .invalidTensor(let name, let reason):
            return "tensor '\(name)' cannot be written: \(reason)"
        case .doesNotFit(let missing, let unexpected, let wrongShape):
            var lines = ["the checkpoint does not fit the model"]
            for (title, names) in [
                ("missing", missing), ("unexpected", unexpected), ("wrong shape", wrongShape),
            ] where !names.isEmpty {
                lines.append("  \(title) (\(names.count)): \(names.joined(separator: ", "))")
            }
            if !wrongShape.isEmpty {
                lines.append(
                    "  another first size of an embedding is another vocabulary: was it resized? "
                        + "Other sizes: the configuration is that of another model")
            }
            return lines.joined(separator: "\n")
        }
    }
}
