public import Foundation

/// A converter of text to token ids and back.
///
/// The ids are those of the *fast* tokenizers of Hugging Face (`transformers` 4.46, `tokenizers`
/// 0.20) for the same files. A tokenizer is an immutable value that any number of tasks may use at
/// once.
public protocol Tokenizer: Sendable {
    /// The ids that mark something, such as padding or the end of a sequence.
    var specialTokens: SpecialTokens { get }

    /// One more than the highest id, added tokens included. An embedding for this tokenizer needs
    /// at least as many rows.
    var vocabularySize: Int { get }

    /// The longest sequence that the model was trained for, in tokens, special ones included; `nil`
    /// if `tokenizer_config.json` does not say. The tokenizer does not cut texts to this length.
    var modelMaxLength: Int? { get }

    /// A digest, in 32 hexadecimal digits, of everything that determines ids and decoded text.
    ///
    /// Tokenizers with equal digests can use each other's stored ids. The digest is the same in
    /// every process. It leaves out class names and `modelMaxLength`.
    var fingerprint: String { get }

    /// The ids of `text` alone, without special tokens around them and never cut.
    ///
    /// The *strings* of special tokens in the text become their ids, as in the reference. If texts
    /// from outside must not do this, remove the strings first.
    /// - Precondition: `text` has less than 2 GiB.
    /// - Returns: Ids in the order of the text; empty for empty text.
    /// - Complexity: Linear in the text. Byte-level merges in an order that no training produces
    ///   take `n log n` in the length of a word.
    func ids(of text: String) -> [Int32]

    /// The sequence a model reads: special tokens around the text, and a second text if given.
    ///
    /// - Parameters:
    ///   - pair: The second segment, or `nil` for none. An empty string is a segment without
    ///     tokens, as in the reference's batches.
    ///   - maxLength: The largest number of ids, special tokens included; `nil` for no limit. A
    ///     single text is cut at its end. Of a pair, the longer text is first cut to the length of
    ///     the shorter one, then both equally (the reference's `longest_first`). Special tokens are
    ///     never cut.
    func encode(_ text: String, pair: String?, maxLength: Int?) -> Encoding

    /// The text of a sequence of ids.
    ///
    /// - Parameters:
    ///   - skippingSpecialTokens: True to leave out every id of `specialTokens.allIDs`.
    ///   - cleaningUp: True to remove the spaces before English punctuation and contractions; `nil`
    ///     for the tokenizer's own `clean_up_tokenization_spaces`.
    /// - Returns: The text. Ids outside the vocabulary are ignored.
    func decode(_ ids: [Int32], skippingSpecialTokens: Bool, cleaningUp: Bool?) -> String

    /// Writes the files that `transformers` and ``AutoTokenizer/load(contentsOf:)`` read: the
    /// vocabulary, `tokenizer_config.json` and `special_tokens_map.json`. The directory is created
    /// if it does not exist. Each file is replaced atomically.
    ///
    /// - Throws: `TokenizerError.cannotWrite`.
    func save(to directory: URL) throws
}

extension Tokenizer {
    /// Encodes one text with its special tokens, cut to `maxLength` ids if given.
    public func encode(_ text: String, maxLength: Int? = nil) -> Encoding {
        encode(text, pair: nil, maxLength: maxLength)
    }

    /// Encodes a pair of texts with its special tokens; nothing is cut.
    public func encode(_ text: String, pair: String) -> Encoding {
        encode(text, pair: pair, maxLength: nil)
    }

    /// Decodes any sequence of ids, by default without special tokens.
    public func decode(
        _ ids: some Sequence<Int32>, skippingSpecialTokens: Bool = true, cleaningUp: Bool? = nil
    ) -> String {
        decode(Array(ids), skippingSpecialTokens: skippingSpecialTokens, cleaningUp: cleaningUp)
    }
}
