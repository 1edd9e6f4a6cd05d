public import Foundation

/// Writes each event as a line of JSON, at once.
public final class MetricsFile: TrainerCallback {
    private let file: AppendedFile

    /// Opens the file; an existing one is appended to.
    ///
    /// - Throws: ``FileError``; the file's directory must exist.
    public init(_ url: URL) throws { file = try AppendedFile(url) }

    public func handle(_ event: TrainingEvent) throws {
        guard let json = event.json else { return }
        try file.append(json.text(indent: nil) + "\n")
    }
}
