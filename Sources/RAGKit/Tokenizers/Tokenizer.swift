import Foundation

/// Text to token ids and back.
///
/// The ids are those of the *fast* tokenizers of Hugging Face (`transformers` 4.46,
/// `tokenizers` 0.20) for the same files. A tokenizer is an immutable value: any number of tasks
/// may use one at once.
public protocol Tokenizer: Sendable {
    /// The ids with a meaning of their own, such as padding or the end of a sequence.
    var specialTokens: SpecialTokens { get }

    /// One more than the highest id, added tokens included: the least number of rows an
    /// embedding for this tokenizer needs.
    var vocabularySize: Int { get }

    /// The longest sequence the model was made for, in tokens and with special tokens, as told by
    /// `tokenizer_config.json`; `nil` if the file tells none. Nothing is cut because of it.
    var modelMaxLength: Int? { get }

    /// A hexadecimal digest (32 digits) of everything that decides ids and decoded text: equal
    /// digests mean that stored ids may be used with the other tokenizer. It is the same in every
    /// process, and leaves out class names and `modelMaxLength`.
    var fingerprint: String { get }

    /// The ids of `text` alone: nothing is put around them and nothing is cut.
    ///
    /// The *strings* of special tokens that occur in the text become their ids, as in the
    /// reference. Text from outside that must not do this has to be cleaned by the caller.
    /// - Precondition: `text` has less than 2 GiB.
    /// - Returns: Ids in the order of the text; empty for empty text.
    /// - Complexity: Linear in the text. Only for byte-level merges in an order that no training gives
    ///   `n log n` in the length of a word.
    func ids(of text: String) -> [Int32]

    /// The sequence a model reads: special tokens around the text, and a second text if given.
    ///
    /// - Parameters:
    ///   - pair: A second segment. An empty string is a segment without tokens (as in the
    ///     reference's batches), `nil` is none.
    ///   - maxLength: The most ids to return, special tokens counted; `nil` cuts nothing. One text
    ///     loses its end. Of a pair the longer text is cut to the shorter one's length first, then
    ///     both equally (the reference's `longest_first`). The special tokens always stay.
    func encode(_ text: String, pair: String?, maxLength: Int?) -> Encoding

    /// The text of a sequence of ids.
    ///
    /// - Parameters:
    ///   - skippingSpecialTokens: Leaves out every id of `specialTokens.allIDs`.
    ///   - cleaningUp: Whether to close up the spaces before English punctuation and contractions;
    ///     `nil` does what the tokenizer's own `clean_up_tokenization_spaces` says.
    /// - Returns: The text; ids outside the vocabulary add nothing.
    func decode(_ ids: [Int32], skippingSpecialTokens: Bool, cleaningUp: Bool?) -> String

    /// Writes the files that `transformers` and `loadTokenizer(from:)` read: the vocabulary,
    /// `tokenizer_config.json` and `special_tokens_map.json`. The directory is made if need be.
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

    /// Decodes any sequence of ids; special tokens are left out unless told otherwise.
    public func decode(
        _ ids: some Sequence<Int32>, skippingSpecialTokens: Bool = true, cleaningUp: Bool? = nil
    ) -> String {
        decode(Array(ids), skippingSpecialTokens: skippingSpecialTokens, cleaningUp: cleaningUp)
    }
}
