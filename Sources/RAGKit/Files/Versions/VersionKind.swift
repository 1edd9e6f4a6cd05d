import Foundation

/// One kind of artefact that is kept in versions, in the words of its manifests and errors.
struct VersionKind: Equatable, Sendable {
    /// The format in the manifest, for instance `ragkit-index`.
    var format: String
    /// Raised when files of older versions of RAGKit can no longer be read.
    var formatVersion: Int
    /// The kind with its article, for instance "an index".
    var noun: String
    /// The advice where a version is damaged or of another format.
    var remedy: String

    func damaged(_ file: URL, _ reason: String) -> VersionError {
        .damaged(file: file.path, reason: reason, remedy: remedy)
    }
}
