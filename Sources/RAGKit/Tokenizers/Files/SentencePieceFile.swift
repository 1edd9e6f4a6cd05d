import Foundation

/// A SentencePiece model file (`spiece.model`): pieces with scores, a character map, and settings.
///
/// Source: `sentencepiece_model.proto` of SentencePiece.
struct SentencePieceFile {
    enum PieceType: UInt64 {
        case normal = 1
        case unknown, control, userDefined, unused, byte
    }

    private(set) var pieces: [(piece: UnigramPiece, type: PieceType)] = []
    private(set) var unknown = 0
    private(set) var characters: CharacterMap?
    private var modelType: UInt64 = 1

    private let file: String
    private let bytes: [UInt8]

    /// - Throws: `TokenizerError`, naming the byte.
    init(_ bytes: [UInt8], file: String) throws {
        self.bytes = bytes
        self.file = file
        do {
            try read()
        } catch let failure as ProtobufReader.Failure {
            throw TokenizerError.damaged(
                file: file, offset: failure.offset,
                reason: failure.reason + "; is this a SentencePiece model?")
        }
    }

    private mutating func read() throws {
        var reader = ProtobufReader(bytes)
        try reader.forEachField { number, value, offset in
            switch number {
            case 1: try readPiece(try message(value, offset))
            case 2: try readTrainerSettings(try message(value, offset))
            case 3: try readNormalizer(try message(value, offset))
            default: break  // tests of the trainer, extensions
            }
        }
        guard modelType == 1 else {
            throw TokenizerError.unsupported(
                file: file, reason: "its model_type is \(modelType), only unigram (1) can be read")
        }
        guard !pieces.isEmpty else {
            throw TokenizerError.damaged(
                file: file, offset: bytes.count, reason: "it has no pieces")
        }
    }

    private func message(_ value: ProtobufReader.Value, _ offset: Int) throws -> Range<Int> {
        guard case .bytes(let range) = value else {
            throw ProtobufReader.Failure(offset: offset, reason: "expected bytes, found a number")
        }
        return range
    }

    private func number(_ value: ProtobufReader.Value, _ offset: Int) throws -> UInt64 {
        guard case .varint(let number) = value else {
            throw ProtobufReader.Failure(offset: offset, reason: "expected a whole number")
        }
        return number
    }

    private mutating func readPiece(_ range: Range<Int>) throws {
        var text: String?
        var score: Float = 0
        var type = PieceType.normal
        var reader = ProtobufReader(bytes, in: range)
        try reader.forEachField { number, value, offset in
            switch number {
            case 1:
                let range = try message(value, offset)
                text = String(validating: bytes[range], as: UTF8.self)
                guard text != nil else {
                    throw ProtobufReader.Failure(offset: offset, reason: "a piece is not UTF-8")
                }
            case 2:
                guard case .fixed32(let bits) = value, Float(bitPattern: bits).isFinite else {
                    throw ProtobufReader.Failure(
                        offset: offset, reason: "the score of a piece is no finite number")
                }
                score = Float(bitPattern: bits)
            case 3:
                let number = try self.number(value, offset)
                guard let known = PieceType(rawValue: number) else {
                    throw ProtobufReader.Failure(
                        offset: offset, reason: "a piece has the unknown type \(number)")
                }
                type = known
            default: break
            }
        }
        guard let text else {
            throw ProtobufReader.Failure(offset: range.lowerBound, reason: "a piece has no text")
        }
        guard pieces.count <= VocabularyFiles.highestID else {
            throw ProtobufReader.Failure(offset: range.lowerBound, reason: "too many pieces")
        }
        pieces.append((UnigramPiece(text: text, score: Double(score)), type))
    }

    private mutating func readTrainerSettings(_ range: Range<Int>) throws {
        var reader = ProtobufReader(bytes, in: range)
        try reader.forEachField { number, value, offset in
            switch number {
            case 3: modelType = try self.number(value, offset)
            case 40: unknown = Int(truncatingIfNeeded: try self.number(value, offset))
            default: break
            }
        }
    }

    private mutating func readNormalizer(_ range: Range<Int>) throws {
        var reader = ProtobufReader(bytes, in: range)
        var map: Range<Int>?
        try reader.forEachField { number, value, offset in
            if number == 2 { map = try message(value, offset) }
        }
        guard let map else { return }
        do {
            characters = map.isEmpty ? nil : try CharacterMap(Array(bytes[map]))
        } catch let failure as CharacterMap.Failure {
            throw ProtobufReader.Failure(
                offset: map.lowerBound + failure.offset, reason: failure.reason)
        }
    }
}

extension UnigramDescription {
    /// T5's tokenizer for a SentencePiece model, as `transformers` converts it.
    ///
    /// - Parameter extraIDs: The number of sentinels that follow the pieces, the highest first.
    init(
        sentencePiece bytes: [UInt8], file: String, extraIDs: Int,
        prefixSpace: UnigramTokenizer.PrefixSpace
    ) throws {
        let model = try SentencePieceFile(bytes, file: file)
        var pieces = model.pieces.map(\.piece)
        var added: [AddedToken] = []
        for (id, entry) in model.pieces.enumerated() {
            guard entry.type == .control || entry.type == .userDefined else { continue }
            added.append(
                AddedToken(
                    content: entry.piece.text, id: Int32(id), special: entry.type == .control))
        }
        for number in (0..<extraIDs).reversed() {
            pieces.append(UnigramPiece(text: "<extra_id_\(number)>", score: 0))
        }
        guard pieces.indices.contains(model.unknown) else {
            throw TokenizerError.damaged(
                file: file, offset: bytes.count,
                reason: "the unknown token has the id \(model.unknown), but there are only "
                    + "\(pieces.count) pieces")
        }
        self.init(
            file: file, pieces: pieces, unknown: Int32(model.unknown), addedTokens: added,
            normalizer: UnigramNormalizer(
                characters: model.characters, stripsEnd: true, joinedSpaces: WordMark.bytes),
            prefixSpace: prefixSpace, source: .sentencePiece(bytes))
    }
}
