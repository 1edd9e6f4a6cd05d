public import Foundation

/// Loads a tokenizer of any kind.
///
/// The name is that of `transformers`, whose `AutoTokenizer.from_pretrained` does the same. Where the
/// kind is known, the type's own initializer can be used, such as
/// ``WordPieceTokenizer/init(contentsOf:)``.
public enum AutoTokenizer {
    /// Loads the tokenizer of a Hugging Face directory.
    ///
    /// The files decide the kind, in the order of `transformers`: `tokenizer.json`, `vocab.txt`
    /// (WordPiece), `vocab.json` with `merges.txt` (byte-level BPE), `spiece.model` (T5). Settings
    /// come from `tokenizer_config.json`, `special_tokens_map.json` and `added_tokens.json`, each
    /// optional. Without them the family's defaults hold; for `vocab.txt` these lower-case.
    ///
    /// - Throws: ``TokenizerError``, naming the file and the place.
    public static func load(contentsOf directory: URL) throws -> any Tokenizer {
        try TokenizerLoader.load(directory)
    }
}
