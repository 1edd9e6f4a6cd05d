public import Foundation

/// BERT's tokenizer: each word is spelled with the longest pieces of a vocabulary, from left to
/// right.
///
/// Text is cleaned first, and optionally lower-cased and stripped of accents.
///
/// A word that cannot be spelled, or that has more than 100 scalars, becomes one `[UNK]`. Sequences
/// are `[CLS] a [SEP]` and `[CLS] a [SEP] b [SEP]`. DPR's encoders use this tokenizer too.
///
/// Source: Devlin et al. 2019, arXiv:1810.04805; ids as `BertTokenizerFast`'s.
public struct WordPieceTokenizer: Tokenizer {
    public let specialTokens: SpecialTokens
    public let vocabularySize: Int
    public let modelMaxLength: Int?
    public let fingerprint: String
    /// True if text is lower-cased first.
    public let lowercase: Bool
    /// True if accents are stripped first.
    public let stripAccents: Bool
    /// True if every ideograph is a word of its own.
    public let spacesIdeographs: Bool

    private let scanner: BertWordScanner
    private let addedTokens: AddedTokens
    private let tokens: TokenTable
    private let vocabularyCount: Int
    /// Pieces that begin a word.
    private let initialPieces: ByteStringTable
    /// Pieces that continue a word, without their `##`.
    private let continuingPieces: ByteStringTable
    private let unknown: Int32
    let template: SequenceTemplate
    private let cleansUp: Bool
    private let configuration: TokenizerConfiguration

    /// Loads the WordPiece tokenizer of a Hugging Face directory.
    ///
    /// The files are those of ``AutoTokenizer/load(contentsOf:)``.
    ///
    /// - Throws: ``TokenizerError``, also if the directory holds a tokenizer of another kind.
    public init(contentsOf directory: URL) throws {
        self = try TokenizerLoader.load(Self.self, directory)
    }

    /// Makes a tokenizer from its tokens.
    ///
    /// - Parameters:
    ///   - vocabulary: The tokens in the order of their ids. `[UNK]`, `[CLS]` and `[SEP]` are
    ///     required, `[PAD]` and `[MASK]` optional.
    ///   - stripAccents: True to strip accents; `nil` for the value of `lowercase`, as in the
    ///     reference.
    /// - Throws: `TokenizerError` if the vocabulary is empty, repeats a token or lacks one.
    public init(
        vocabulary: [String], lowercase: Bool = true, stripAccents: Bool? = nil,
        spacesIdeographs: Bool = true, modelMaxLength: Int? = nil
    ) throws {
        var configuration = TokenizerConfiguration()
        configuration.doLowerCase = lowercase
        configuration.stripAccents = stripAccents
        configuration.tokenizeChineseChars = spacesIdeographs
        configuration.modelMaxLength = modelMaxLength.map(Double.init)
        configuration.cleanUpTokenizationSpaces = true
        try self.init(vocabulary: vocabulary, configuration: configuration, file: "vocabulary")
    }

    /// - Parameter added: Tokens that the vocabulary file itself declares as added.
    init(
        vocabulary: [String], added: [AddedToken] = [], configuration: TokenizerConfiguration,
        file: String
    ) throws {
        var all = ByteStringTable(capacity: vocabulary.count)
        var initial = ByteStringTable(capacity: vocabulary.count)
        var continuing = ByteStringTable(capacity: vocabulary.count)
        var digest = StableDigest()
        digest.add("wordpiece")
        for (index, token) in vocabulary.enumerated() {
            digest.add(token)
            guard !token.isEmpty else { continue }
            let id = Int32(index)
            let earlier = all.insert(token, id: id)
            guard earlier < 0 else {
                throw TokenizerError.malformed(
                    file: file, line: index + 1,
                    reason: "the token '\(token)' already has the id \(earlier)")
            }
            if token.utf8.starts(with: Self.continuation.utf8), token.utf8.count > 2 {
                _ = continuing.insert(String(token.unicodeScalars.dropFirst(2)), id: id)
            } else {
                _ = initial.insert(token, id: id)
            }
        }
        let resolved = try configuration.resolvedTokens(
            .bert, base: added, file: file, vocabularySize: vocabulary.count,
            vocabularyID: { all.known($0) })
        guard let unknown = resolved.special.unk, let cls = resolved.special.cls,
            let sep = resolved.special.sep
        else {
            throw TokenizerError.unsupported(file: file, reason: "no unk, cls or sep token")
        }

        lowercase = configuration.doLowerCase ?? true
        stripAccents = configuration.stripAccents ?? lowercase
        spacesIdeographs = configuration.tokenizeChineseChars ?? true
        cleansUp = configuration.cleanUpTokenizationSpaces ?? false
        let scanner = BertWordScanner(
            lowercase: lowercase, stripAccents: stripAccents, spacesIdeographs: spacesIdeographs)
        self.scanner = scanner
        specialTokens = resolved.special
        addedTokens = AddedTokens(resolved.added) { token in
            token.withUnsafeBufferPointer { scanner.normalized($0) }
        }
        vocabularySize = resolved.vocabularySize
        vocabularyCount = vocabulary.count
        tokens = TokenTable(vocabulary: vocabulary.map { Array($0.utf8) }, resolved)
        initialPieces = initial
        continuingPieces = continuing
        self.unknown = unknown
        template = SequenceTemplate(prefix: [cls], separator: [sep], suffix: [sep])
        modelMaxLength = configuration.modelMaxLengthInTokens
        self.configuration = configuration.spelledOut(resolved)

        for flag in [lowercase, stripAccents, spacesIdeographs, cleansUp] { digest.add(flag) }
        digest.add(resolved)
        fingerprint = digest.hexadecimal
    }

    private static let continuation = "##"

    public func ids(of text: String) -> [Int32] {
        var text = text
        return text.withUTF8 { text in
            var ids: [Int32] = []
            ids.reserveCapacity(text.count / 4 + 4)
            addedTokens.inText.forEachPiece(in: text) { piece in
                switch piece {
                case .token(let id):
                    ids.append(id)
                case .text(let range):
                    let stretch = UnsafeBufferPointer(rebasing: text[range])
                    if addedTokens.inNormalizedText.isEmpty {
                        spellWords(of: stretch, scanner, into: &ids)
                    } else {
                        spellNormalized(stretch, into: &ids)
                    }
                }
            }
            return ids
        }
    }

    /// Appends the ids of text in which added tokens are searched for after normalisation.
    private func spellNormalized(
        _ text: UnsafeBufferPointer<UInt8>, into ids: inout [Int32]
    ) {
        scanner.normalized(text).withUnsafeBufferPointer { text in
            addedTokens.inNormalizedText.forEachPiece(in: text) { piece in
                switch piece {
                case .token(let id):
                    ids.append(id)
                case .text(let range):
                    let stretch = UnsafeBufferPointer(rebasing: text[range])
                    spellWords(of: stretch, .splitting, into: &ids)
                }
            }
        }
    }

    @inline(__always)
    private func spellWords(
        of text: UnsafeBufferPointer<UInt8>, _ scanner: BertWordScanner, into ids: inout [Int32]
    ) {
        scanner.forEachWord(in: text) { word, isTooLong in
            if isTooLong { ids.append(unknown) } else { spell(word, into: &ids) }
        }
    }

    /// Appends the pieces of a word: at each position the longest one.
    @inline(__always)
    private func spell(_ word: UnsafeBufferPointer<UInt8>, into ids: inout [Int32]) {
        let whole = initialPieces.id(of: word)
        if whole >= 0 { ids.append(whole) } else { spellInPieces(word, into: &ids) }
    }

    private func spellInPieces(_ word: UnsafeBufferPointer<UInt8>, into ids: inout [Int32]) {
        let countBefore = ids.count
        var start = 0
        while start < word.count {
            let (end, id) =
                start == 0
                ? longestPiece(initialPieces, word, start)
                : longestPiece(continuingPieces, word, start)
            guard id >= 0 else {
                ids.removeLast(ids.count - countBefore)
                ids.append(unknown)
                return
            }
            ids.append(id)
            start = end
        }
    }

    @inline(__always)
    private func longestPiece(
        _ pieces: ByteStringTable, _ word: UnsafeBufferPointer<UInt8>, _ start: Int
    ) -> (end: Int, id: Int32) {
        var best: (end: Int, id: Int32) = (start, -1)
        var hash = ByteStringTable.emptyHash
        for end in start..<min(word.count, start + pieces.longestKey) {
            hash = ByteStringTable.extended(hash, by: word[end])
            let key = UnsafeBufferPointer(rebasing: word[start...end])
            let id = pieces.id(of: key, hash: hash)
            if id >= 0 { best = (end + 1, id) }
        }
        return best
    }

    public func encode(_ text: String, pair: String?, maxLength: Int?) -> Encoding {
        template.encode(ids(of: text), pair: pair.map { ids(of: $0) }, maxLength: maxLength)
    }

    public func decode(_ ids: [Int32], skippingSpecialTokens: Bool, cleaningUp: Bool?) -> String {
        var text: [UInt8] = []
        var isFirst = true
        for id in ids {
            if skippingSpecialTokens, tokens.isSpecial(id) { continue }
            guard let token = tokens(id) else { continue }
            let start = text.count
            if isFirst {
                text += token
            } else if token.starts(with: Self.continuation.utf8) {
                text += token.dropFirst(2)
            } else {
                text.append(0x20)
                text += token
            }
            DecodingCleanup.cleanToken(in: &text, from: start)
            isFirst = false
        }
        if cleaningUp ?? cleansUp { DecodingCleanup.clean(&text) }
        return String(decoding: text, as: UTF8.self)
    }

    public func save(to directory: URL) throws {
        try TokenizerFiles.makeDirectory(directory)
        var text = ""
        for id in 0..<Int32(vocabularyCount) {
            text += String(decoding: tokens(id) ?? [], as: UTF8.self) + "\n"
        }
        try TokenizerFiles.write(
            text, to: directory.appendingPathComponent(TokenizerFiles.wordPieceVocabulary))
        var configuration = configuration
        configuration.tokenizerClass = configuration.tokenizerClass ?? "BertTokenizer"
        try configuration.write(to: directory)
    }
}
