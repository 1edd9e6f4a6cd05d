public import Foundation

/// GPT-2's and BART's tokenizer: byte-pair encoding over the bytes of the text.
///
/// It can encode every text, and decoding gives it back.
///
/// Source: Radford et al. 2019, "Language Models are Unsupervised Multitask Learners", section 2.2;
/// ids as `BartTokenizerFast`'s and `GPT2TokenizerFast`'s.
public struct ByteLevelBPETokenizer: Tokenizer {
    /// The special tokens around a text, and their default names.
    public enum Style: String, Sendable {
        /// `<s> a </s>` and `<s> a </s></s> b </s>`; all token types are 0. RoBERTa's style too.
        case bart
        /// No tokens around a text, or `<|endoftext|>` before it if `add_bos_token` of
        /// `tokenizer_config.json` is true.
        case gpt2
    }

    public let specialTokens: SpecialTokens
    public let vocabularySize: Int
    public let modelMaxLength: Int?
    public let fingerprint: String
    /// The special tokens around texts.
    public let style: Style
    /// True to put a space before a text that begins without one, so that its first word gets the
    /// same ids as inside a text.
    public let addsPrefixSpace: Bool

    private let scanner: GPT2WordScanner
    private let addedTokens: AddedTokens
    /// The tokens as they are written in the vocabulary file.
    private let keys: TokenTable
    /// The tokens as the bytes that they stand for.
    private let tokens: TokenTable
    private let vocabularyCount: Int
    private let merges: [(left: Int32, right: Int32, merged: Int32)]
    private let merger: BytePairMerger
    /// The words that merge into one token: most words of most texts.
    private let wholeWords: ByteStringTable
    let template: SequenceTemplate
    private let cleansUp: Bool
    private let configuration: TokenizerConfiguration

    /// Loads the byte-level BPE tokenizer of a Hugging Face directory.
    ///
    /// The files are those of ``AutoTokenizer/load(contentsOf:)``.
    ///
    /// - Throws: ``TokenizerError``, also if the directory holds a tokenizer of another kind.
    public init(contentsOf directory: URL) throws {
        self = try TokenizerLoader.load(Self.self, directory)
    }

    /// Makes a tokenizer from a vocabulary and its merges, both written with GPT-2's characters for
    /// bytes (a space is `Ġ`).
    ///
    /// - Parameters:
    ///   - vocabulary: Tokens in the order of their ids. BART style needs `<s>` and `</s>`.
    ///   - merges: Pairs of tokens, the most important first.
    /// - Throws: `TokenizerError` if a token is repeated or missing.
    public init(
        vocabulary: [String], merges: [(String, String)], style: Style,
        addsPrefixSpace: Bool = false, modelMaxLength: Int? = nil
    ) throws {
        var configuration = TokenizerConfiguration()
        configuration.addPrefixSpace = addsPrefixSpace
        configuration.modelMaxLength = modelMaxLength.map(Double.init)
        try self.init(
            vocabulary: vocabulary.enumerated().map {
                VocabularyJSON.Entry(token: $1, id: Int32($0), line: $0 + 1)
            },
            merges: merges.enumerated().map {
                BytePairMerge(left: $1.0, right: $1.1, line: $0 + 1)
            },
            style: style, configuration: configuration, vocabularyFile: "vocabulary",
            mergesFile: "merges")
    }

    /// - Parameter added: Tokens that the vocabulary file itself declares as added.
    init(
        vocabulary: [VocabularyJSON.Entry], merges: [BytePairMerge], style: Style,
        added: [AddedToken] = [], configuration: TokenizerConfiguration, vocabularyFile: String,
        mergesFile: String
    ) throws {
        var ids = ByteStringTable(capacity: vocabulary.count)
        vocabularyCount = (vocabulary.map { Int($0.id) }.max() ?? -1) + 1
        var keys = [[UInt8]?](repeating: nil, count: vocabularyCount)
        for entry in vocabulary {
            let earlier = ids.insert(entry.token, id: entry.id)
            guard earlier < 0 else {
                throw TokenizerError.malformed(
                    file: vocabularyFile, line: entry.line,
                    reason: "the token '\(entry.token)' already has the id \(earlier)")
            }
            keys[Int(entry.id)] = Array(entry.token.utf8)
        }
        let resolved = try configuration.resolvedTokens(
            style == .bart ? .bart : .gpt2, base: added, file: vocabularyFile,
            vocabularySize: vocabularyCount, vocabularyID: { ids.known($0) })
        self.merges = try Self.resolved(merges, ids, mergesFile)
        merger = BytePairMerger(
            byteIDs: ByteLevelAlphabet.scalars.map { ids.id(of: String($0)) },
            merges: self.merges)
        self.keys = TokenTable(vocabulary: keys, resolved)
        let spelled = keys.map { $0.flatMap { ByteLevelAlphabet.bytes(of: $0) } }
        tokens = Self.decoded(spelled, keys, resolved)
        wholeWords = Self.wholeWords(spelled, merger)

        self.style = style
        scanner = GPT2WordScanner()
        self.configuration = configuration.spelledOut(resolved)
        addsPrefixSpace = configuration.addPrefixSpace ?? false
        cleansUp = configuration.cleanUpTokenizationSpaces ?? false
        modelMaxLength = configuration.modelMaxLengthInTokens
        specialTokens = resolved.special
        addedTokens = AddedTokens(resolved.added)
        vocabularySize = resolved.vocabularySize
        if style == .bart, let cls = resolved.special.cls, let sep = resolved.special.sep {
            template = SequenceTemplate(
                prefix: [cls], separator: [sep, sep], suffix: [sep], secondType: 0)
        } else if configuration.addBosToken == true, let bos = resolved.special.bos {
            template = SequenceTemplate(prefix: [bos])
        } else {
            template = SequenceTemplate()
        }

        var digest = StableDigest()
        digest.add("byte-level-bpe-" + style.rawValue)
        for key in keys { digest.add(key ?? []) }
        for merge in self.merges {
            digest.add(merge.left)
            digest.add(merge.right)
        }
        for flag in [addsPrefixSpace, cleansUp] { digest.add(flag) }
        digest.add(resolved)
        if style == .gpt2, !template.prefix.isEmpty { digest.add(template) }
        fingerprint = digest.hexadecimal
    }

    private static func resolved(
        _ merges: [BytePairMerge], _ ids: ByteStringTable, _ file: String
    ) throws -> [(left: Int32, right: Int32, merged: Int32)] {
        try merges.map { merge in
            func id(_ token: String) throws -> Int32 {
                let id = ids.id(of: token)
                guard id >= 0 else {
                    throw TokenizerError.malformed(
                        file: file, line: merge.line,
                        reason: "the merge of '\(merge.left)' and '\(merge.right)' needs the token "
                            + "'\(token)', which the vocabulary lacks; are the files a pair?"
                    )
                }
                return id
            }
            return (try id(merge.left), try id(merge.right), try id(merge.left + merge.right))
        }
    }

    /// The bytes of each token. A token with a character outside GPT-2's 256 stands for its own
    /// UTF-8.
    private static func decoded(
        _ spelled: [[UInt8]?], _ keys: [[UInt8]?], _ resolved: ResolvedTokens
    ) -> TokenTable {
        TokenTable(
            vocabulary: zip(spelled, keys).map { $0 ?? $1 }, resolved,
            spelling: { ByteLevelAlphabet.bytes(of: $0) ?? $0 })
    }

    private static func wholeWords(
        _ spelled: [[UInt8]?], _ merger: BytePairMerger
    ) -> ByteStringTable {
        var table = ByteStringTable(capacity: spelled.count)
        var spelling: [Int32] = []
        for (id, bytes) in spelled.enumerated() {
            guard let bytes, bytes.count <= BytePairMerger.shortWord else { continue }
            bytes.withUnsafeBufferPointer { bytes in
                spelling.removeAll(keepingCapacity: true)
                merger.spell(bytes, into: &spelling)
                if spelling.count == 1, spelling[0] == Int32(id) {
                    _ = table.insert(bytes, id: Int32(id))
                }
            }
        }
        return table
    }

    public func ids(of text: String) -> [Int32] {
        var text = text
        return text.withUTF8 { text in
            var ids: [Int32] = []
            ids.reserveCapacity(text.count / 4 + 4)
            addedTokens.forEachPiece(in: text) { piece in
                switch piece {
                case .token(let id):
                    ids.append(id)
                case .text(let range):
                    let stretch = UnsafeBufferPointer(rebasing: text[range])
                    if addsPrefixSpace, stretch.first != 0x20 {
                        ([0x20] + stretch).withUnsafeBufferPointer { spell($0, into: &ids) }
                    } else {
                        spell(stretch, into: &ids)
                    }
                }
            }
            return ids
        }
    }

    @inline(__always)
    private func spell(_ text: UnsafeBufferPointer<UInt8>, into ids: inout [Int32]) {
        scanner.forEachWord(in: text) { range in
            let word = UnsafeBufferPointer(rebasing: text[range])
            let whole = wholeWords.id(of: word)
            if whole >= 0 { ids.append(whole) } else { merger.spell(word, into: &ids) }
        }
    }

    public func encode(_ text: String, pair: String?, maxLength: Int?) -> Encoding {
        template.encode(ids(of: text), pair: pair.map { ids(of: $0) }, maxLength: maxLength)
    }

    /// Decodes bytes that are not UTF-8, such as half a character, as U+FFFD, like Python's
    /// `errors="replace"`.
    public func decode(_ ids: [Int32], skippingSpecialTokens: Bool, cleaningUp: Bool?) -> String {
        var text: [UInt8] = []
        for id in ids {
            if skippingSpecialTokens, tokens.isSpecial(id) { continue }
            if let token = tokens(id) { text += token }
        }
        // Repair first: cleaning works on text.
        let repaired = String(decoding: text, as: UTF8.self)
        guard cleaningUp ?? cleansUp else { return repaired }
        text = Array(repaired.utf8)
        DecodingCleanup.clean(&text)
        return String(decoding: text, as: UTF8.self)
    }

    public func save(to directory: URL) throws {
        try TokenizerFiles.makeDirectory(directory)
        func key(_ id: Int32) -> String? {
            keys(id).map { String(decoding: $0, as: UTF8.self) }
        }
        let entries = (0..<Int32(vocabularyCount)).compactMap { id in
            key(id).map { (token: $0, id: id) }
        }
        try TokenizerFiles.write(
            VocabularyJSON.text(entries),
            to: directory.appendingPathComponent(TokenizerFiles.bytePairVocabulary))
        var text = "#version: 0.2\n"
        for merge in merges { text += "\(key(merge.left) ?? "") \(key(merge.right) ?? "")\n" }
        try TokenizerFiles.write(
            text, to: directory.appendingPathComponent(TokenizerFiles.bytePairMerges))
        var configuration = configuration
        if configuration.tokenizerClass == nil {
            configuration.tokenizerClass = style == .bart ? "BartTokenizer" : "GPT2Tokenizer"
        }
        try configuration.write(to: directory)
    }
}
