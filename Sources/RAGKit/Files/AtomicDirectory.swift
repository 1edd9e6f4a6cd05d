public import Foundation

/// Writes a whole folder so that it is there complete, or not at all.
public enum AtomicDirectory {
    /// Writes a folder.
    ///
    /// Everything is written into `name.tmp-…` beside the destination and synchronised, then renamed.
    ///
    /// - Parameters:
    ///   - url: The destination; the folder that holds it must exist.
    ///   - replacing: If true, a folder already there is replaced, **with everything in it**. Files
    ///     of it that are open or mapped stay readable to those who hold them.
    ///   - body: Writes the contents into the folder it is given.
    /// - Throws: What `body` throws, or ``FileError``; ``FileError/alreadyExists(path:)`` if there
    ///   is something at the destination and `replacing` is false.
    public static func write<Result>(
        to url: URL, replacing: Bool = false, _ body: (URL) throws -> Result
    ) throws -> Result {
        let draft = try DirectoryDraft(of: url, replacing: replacing)
        let result = try body(draft.folder)
        try draft.finish()
        return result
    }
}
