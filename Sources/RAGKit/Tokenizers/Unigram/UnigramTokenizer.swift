public import Foundation

/// T5's tokenizer: a Unigram model over a vocabulary of scored pieces.
///
/// Characters are replaced by a map and words marked with `▁`. Each word is spelled with the pieces
/// whose scores have the highest sum.
///
/// Sequences are `a </s>` and `a </s> b </s>`; all token types are 0. The sentinels `<extra_id_0>`,
/// `<extra_id_1>`, … are searched for in the text.
///
/// Source: Kudo 2018, arXiv:1804.10959; Raffel et al. 2020, arXiv:1910.10683; ids as
/// `T5TokenizerFast`'s.
public struct UnigramTokenizer: Tokenizer {
    /// The rule for putting a `▁` before a stretch of text that does not begin with one.
    public enum PrefixSpace: String, Sendable {
        /// Before every stretch, also after an added token.
        case always
        /// Before the start of the text only.
        case first
        /// Nowhere.
        case never
    }

    public let specialTokens: SpecialTokens
    public let vocabularySize: Int
    public let modelMaxLength: Int?
    public let fingerprint: String
    /// The rule for the `▁` before a stretch of text.
    public let prefixSpace: PrefixSpace

    private let addedTokens: AddedTokens
    private let normalizer: UnigramNormalizer
    /// True if white space of every kind separates words and is dropped, not only spaces.
    private let splitsAtWhitespace: Bool
    private let model: UnigramModel
    private let tokens: TokenTable
    /// The bytes of the pieces `<0x00>` to `<0xFF>` by id; empty if decoding treats them as text.
    private let decodedBytes: [Int32: UInt8]
    private let template: SequenceTemplate
    private let cleansUp: Bool
    private let configuration: TokenizerConfiguration
    /// The contents of the file it was loaded from, which are saved unchanged.
    private let source: UnigramDescription.Source

    /// Loads the Unigram tokenizer of a Hugging Face directory.
    ///
    /// The files are those of ``AutoTokenizer/load(contentsOf:)``.
    ///
    /// - Throws: ``TokenizerError``, also if the directory holds a tokenizer of another kind.
    public init(contentsOf directory: URL) throws {
        self = try TokenizerLoader.load(Self.self, directory)
    }

    init(_ description: UnigramDescription, configuration: TokenizerConfiguration) throws {
        let pieces = description.pieces
        let ids = try description.checkedIDs()
        var configuration = configuration
        configuration.addSentinels { ids.known($0) != nil }
        let resolved = try configuration.resolvedTokens(
            .t5, base: description.addedTokens, file: description.file,
            vocabularySize: pieces.count, vocabularyID: { ids.known($0) })
        guard let eos = resolved.special.eos else {
            throw TokenizerError.unsupported(file: description.file, reason: "no eos token")
        }
        let normalizer = description.normalizer
        addedTokens = AddedTokens(resolved.added) { token in
            token.withUnsafeBufferPointer { token in
                var output: [UInt8] = []
                normalizer.normalize(token, into: &output)
                return output
            }
        }
        self.normalizer = normalizer
        splitsAtWhitespace = description.splitsAtWhitespace
        prefixSpace = description.prefixSpace
        model = UnigramModel(
            pieces, unknown: description.unknown, fallsBackToBytes: description.fallsBackToBytes)
        tokens = TokenTable(vocabulary: pieces.map { Array($0.text.utf8) }, resolved)
        decodedBytes = description.decodesBytes ? description.bytePieces : [:]
        template =
            description.template
            ?? SequenceTemplate(
                separator: [eos], suffix: [eos], secondType: 0)
        specialTokens = resolved.special
        vocabularySize = resolved.vocabularySize
        modelMaxLength = configuration.modelMaxLengthInTokens
        cleansUp = configuration.cleanUpTokenizationSpaces ?? false
        self.configuration = configuration.spelledOut(resolved)
        source = description.source

        var digest = StableDigest()
        digest.add("unigram-" + prefixSpace.rawValue)
        for piece in pieces {
            digest.add(piece.text)
            digest.add(piece.score.bitPattern)
        }
        digest.add(description.unknown)
        digest.add(normalizer.characters?.bytes ?? [])
        digest.add(normalizer.joinedSpaces ?? [])
        digest.add(template)
        for flag in [
            normalizer.stripsEnd, splitsAtWhitespace, description.fallsBackToBytes,
            description.decodesBytes, cleansUp,
        ] { digest.add(flag) }
        digest.add(resolved)
        fingerprint = digest.hexadecimal
    }

    public func ids(of text: String) -> [Int32] {
        var text = text
        return text.withUTF8 { text in
            var ids: [Int32] = []
            ids.reserveCapacity(text.count / 3 + 4)
            var buffer: [UInt8] = []
            buffer.reserveCapacity(text.count + 16)
            addedTokens.inText.forEachPiece(in: text) { piece in
                switch piece {
                case .token(let id):
                    ids.append(id)
                case .text(let range):
                    buffer.removeAll(keepingCapacity: true)
                    buffer.append(WordMark.short)  // used if a mark is to be put before the text
                    normalizer.normalize(UnsafeBufferPointer(rebasing: text[range]), into: &buffer)
                    appendWords(&buffer, isFirst: range.lowerBound == 0, to: &ids)
                }
            }
            return ids
        }
    }

    /// Appends the ids of normalised text, which begins at the second byte of `buffer`.
    private func appendWords(_ buffer: inout [UInt8], isFirst: Bool, to ids: inout [Int32]) {
        guard !addedTokens.inNormalizedText.isEmpty else {
            return appendStretch(&buffer, isFirst: isFirst, to: &ids)
        }
        buffer.dropFirst().withUnsafeBufferPointer { text in
            addedTokens.inNormalizedText.forEachPiece(in: text) { piece in
                switch piece {
                case .token(let id):
                    ids.append(id)
                case .text(let range):
                    var stretch = [WordMark.short] + text[range]
                    let isFirst = isFirst && range.lowerBound == 0
                    appendStretch(&stretch, isFirst: isFirst, to: &ids)
                }
            }
        }
    }

    private func appendStretch(_ buffer: inout [UInt8], isFirst: Bool, to ids: inout [Int32]) {
        if splitsAtWhitespace {
            buffer = Self.markedWords(buffer)
        } else if buffer.contains(WordMark.bytes[0]) {
            buffer = WordMark.shortened(buffer)
        }
        guard buffer.count > 1 else { return }
        let needsMark =
            buffer[1] != WordMark.short && !splitsAtWhitespace
            && (prefixSpace == .always || prefixSpace == .first && isFirst)
        buffer.withUnsafeBufferPointer { buffer in
            let text = UnsafeBufferPointer(rebasing: buffer[(needsMark ? 0 : 1)...])
            model.spellWords(text, into: &ids)
        }
    }

    /// The words between white space, each with a mark before it. The first byte is kept.
    private static func markedWords(_ text: [UInt8]) -> [UInt8] {
        text.withUnsafeBufferPointer { text in
            var words = [text[0]]
            words.reserveCapacity(text.count)
            var index = 1
            var isInWord = false
            while index < text.count {
                let start = index
                let scalar = UTF8Scalar.next(in: text, at: &index)
                if ScalarClass.of(scalar, in: ScalarClass.table).contains(.whitespace) {
                    isInWord = false
                    continue
                }
                let isMark = WordMark.begins(text, at: start)
                if isMark || !isInWord { words.append(WordMark.short) }
                if !isMark { words += text[start..<index] }
                isInWord = true
            }
            return words
        }
    }

    public func encode(_ text: String, pair: String?, maxLength: Int?) -> Encoding {
        template.encode(ids(of: text), pair: pair.map { ids(of: $0) }, maxLength: maxLength)
    }

    /// Decodes each `▁` as a space, except those of the first token, which are dropped.
    ///
    /// Source: the decoders `Metaspace` and `ByteFallback` of `tokenizers`.
    public func decode(_ ids: [Int32], skippingSpecialTokens: Bool, cleaningUp: Bool?) -> String {
        var text: [UInt8] = []
        var bytes: [UInt8] = []
        var isFirst = prefixSpace != .never
        func flushBytes() {
            guard !bytes.isEmpty else { return }
            let isText = String(validating: bytes, as: UTF8.self) != nil
            if !isText { bytes = bytes.flatMap { _ in Array("\u{FFFD}".utf8) } }
            appendDecoded(bytes[...], dropsMarks: isFirst, to: &text)
            bytes.removeAll()
            isFirst = false
        }
        for id in ids {
            if skippingSpecialTokens, tokens.isSpecial(id) { continue }
            guard let token = tokens(id) else { continue }
            if let byte = decodedBytes[id] {
                bytes.append(byte)
            } else {
                flushBytes()
                appendDecoded(token, dropsMarks: isFirst, to: &text)
                isFirst = false
            }
        }
        flushBytes()
        if cleaningUp ?? cleansUp { DecodingCleanup.clean(&text) }
        return String(decoding: text, as: UTF8.self)
    }

    private func appendDecoded(
        _ token: ArraySlice<UInt8>, dropsMarks: Bool, to text: inout [UInt8]
    ) {
        token.withUnsafeBufferPointer { token in
            var index = 0
            while index < token.count {
                if WordMark.begins(token, at: index) {
                    if !dropsMarks { text.append(0x20) }
                    index += 3
                } else {
                    text.append(token[index])
                    index += 1
                }
            }
        }
    }

    /// Writes the `spiece.model` or `tokenizer.json` that it was loaded from, unchanged, with
    /// `tokenizer_config.json` and `special_tokens_map.json`.
    public func save(to directory: URL) throws {
        try TokenizerFiles.makeDirectory(directory)
        let (name, bytes) =
            switch source {
            case .sentencePiece(let bytes): (TokenizerFiles.sentencePieceModel, bytes)
            case .tokenizerJSON(let bytes): (TokenizerFiles.tokenizerJSON, bytes)
            }
        try TokenizerFiles.write(bytes, to: directory.appendingPathComponent(name))
        var configuration = configuration
        configuration.tokenizerClass = configuration.tokenizerClass ?? "T5Tokenizer"
        try configuration.write(to: directory)
    }
}

extension TokenizerConfiguration {
    /// The number of sentinels: of those that it names, or else the number that it gives.
    ///
    /// Source: `T5TokenizerFast.__init__` of `transformers`.
    var sentinelCount: Int {
        let named = (additionalSpecialTokens ?? []).count { $0.content.contains("<extra_id_") }
        return named > 0 ? named : extraIDs ?? 100
    }

    /// Declares the sentinels of the vocabulary as special tokens, unless the configuration names
    /// sentinels itself, and records their number.
    fileprivate mutating func addSentinels(isThere: (String) -> Bool) {
        var tokens = additionalSpecialTokens ?? []
        if !tokens.contains(where: { $0.content.contains("<extra_id_") }) {
            for number in 0..<max(0, min(sentinelCount, TokenizerLoader.mostSentinels)) {
                let sentinel = "<extra_id_\(number)>"
                if isThere(sentinel) { tokens.append(TokenEntry(sentinel)) }
            }
        }
        extraIDs = tokens.count { $0.content.contains("<extra_id_") }
        additionalSpecialTokens = tokens
    }
}
