/// A Unigram tokenizer as its file describes it, without the settings of `tokenizer_config.json`.
struct UnigramDescription: Sendable {
    enum Source: Sendable {
        case sentencePiece([UInt8])
        case tokenizerJSON([UInt8])
    }

    var file: String
    var pieces: [UnigramPiece]
    var unknown: Int32
    var fallsBackToBytes = false
    var addedTokens: [AddedToken] = []
    var normalizer: UnigramNormalizer
    var prefixSpace = UnigramTokenizer.PrefixSpace.always
    var splitsAtWhitespace = false
    /// The special tokens around texts; `nil` for `a </s>` and `a </s> b </s>`.
    var template: SequenceTemplate?
    var decodesBytes = false
    var source: Source

    /// The ids of the pieces.
    ///
    /// - Throws: `TokenizerError` if a piece is repeated or the unknown piece is missing.
    func checkedIDs() throws -> ByteStringTable {
        var ids = ByteStringTable(capacity: pieces.count)
        for (id, piece) in pieces.enumerated() {
            let earlier = ids.insert(piece.text, id: Int32(id))
            if earlier >= 0 {
                throw TokenizerError.unsupported(
                    file: file,
                    reason: "the piece '\(piece.text)' has two ids, \(earlier) and \(id)")
            }
        }
        guard pieces.indices.contains(Int(unknown)) else {
            throw TokenizerError.unsupported(
                file: file,
                reason: "the unknown token has the id \(unknown), but there are only "
                    + "\(pieces.count) pieces")
        }
        return ids
    }

    /// The bytes of the pieces `<0x00>` to `<0xFF>`, by id.
    var bytePieces: [Int32: UInt8] {
        var bytes: [Int32: UInt8] = [:]
        for (id, piece) in pieces.enumerated() where piece.text.utf8.count == 6 {
            guard piece.text.hasPrefix("<0x"), piece.text.hasSuffix(">") else { continue }
            bytes[Int32(id)] = UInt8(piece.text.dropFirst(3).dropLast(), radix: 16)
        }
        return bytes
    }
}
