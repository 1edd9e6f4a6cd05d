import Foundation

extension TokenizerJSON {
    /// A Unigram model with the parts of T5's files, in the layouts of old and new versions.
    func unigramDescription() throws -> UnigramDescription {
        let part = TokenizerComponent(
            type: "Unigram", settings: model.settings, path: "model", file: file)
        try part.allow("unk_id", "byte_fallback")
        guard let pieces = model.pieces, model.merges == nil else {
            throw part.refusal("its vocabulary is no array of pieces and scores")
        }
        guard let unknown = try part.int("unk_id"), pieces.indices.contains(unknown) else {
            throw part.refusal(
                "'unk_id' must be the place of one of the \(pieces.count) pieces, found "
                    + (part["unk_id"]?.summary ?? "nothing"))
        }
        var description = UnigramDescription(
            file: file, pieces: pieces, unknown: Int32(unknown),
            fallsBackToBytes: try part.bool("byte_fallback") ?? false, addedTokens: addedTokens,
            normalizer: try unigramNormalizer(), template: try template(),
            source: .tokenizerJSON(bytes))
        try readWordSplitter(into: &description)
        try readDecoder(into: &description)
        return description
    }

    /// Reads a character map, stripping at the end and joining of spaces. Each is optional, the
    /// order fixed.
    private func unigramNormalizer() throws -> UnigramNormalizer {
        var characters: CharacterMap?
        var stripsEnd = false
        var joinedSpaces: [UInt8]?
        var order = 0
        for part in try parts(of: component("normalizer"), "normalizers") {
            let place: Int
            switch part.type {
            case "Precompiled":
                place = 1
                characters = try characterMap(part)
            case "Strip":
                place = 2
                try part.allow("strip_left", "strip_right")
                try part.require("strip_left", false)
                stripsEnd = try part.bool("strip_right") ?? false
            case "Replace":
                place = 3
                try part.allow("pattern", "content")
                try part.require("pattern", ["Regex": " {2,}"])
                guard let content = try part.string("content"), content == " " || content == "▁"
                else { throw part.refusal("'content' must be a space or '▁'") }
                joinedSpaces = Array(content.utf8)
            default: throw part.refuseType()
            }
            guard place > order else { throw part.refusal("it does not stand where it should") }
            order = place
        }
        return UnigramNormalizer(
            characters: characters, stripsEnd: stripsEnd, joinedSpaces: joinedSpaces)
    }

    private func characterMap(_ part: TokenizerComponent) throws -> CharacterMap? {
        try part.allow("precompiled_charsmap")
        guard let text = try part.string("precompiled_charsmap") else {
            throw part.refusal("'precompiled_charsmap' is missing")
        }
        guard let data = Data(base64Encoded: text) else {
            throw part.refusal("'precompiled_charsmap' is not base64")
        }
        do {
            return try CharacterMap(Array(data))
        } catch let failure as CharacterMap.Failure {
            throw part.refusal("byte \(failure.offset) of its map: \(failure.reason)")
        }
    }

    /// The parts of a sequence, or the only one.
    private func parts(
        of part: TokenizerComponent?, _ key: String
    ) throws -> [TokenizerComponent] {
        guard let part else { return [] }
        guard part.type == "Sequence" else { return [part] }
        try part.allow(key)
        return try part.parts(key)
    }

    private func readWordSplitter(into description: inout UnigramDescription) throws {
        var hasMarks = false
        for part in try parts(of: component("pre_tokenizer"), "pretokenizers") {
            switch part.type {
            case "WhitespaceSplit" where !hasMarks && !description.splitsAtWhitespace:
                try part.allow()
                description.splitsAtWhitespace = true
            case "Metaspace" where !hasMarks:
                hasMarks = true
                try part.require("split", true)
                description.prefixSpace = try prefixSpace(part)
                if description.splitsAtWhitespace, description.prefixSpace != .always {
                    throw part.refusal("behind WhitespaceSplit it must mark every word")
                }
            default: throw part.refuseType()
            }
        }
        guard hasMarks else {
            throw TokenizerError.unsupported(
                file: file, reason: "pre_tokenizer: a Unigram model needs a Metaspace")
        }
    }

    private func prefixSpace(
        _ part: TokenizerComponent
    ) throws -> UnigramTokenizer.PrefixSpace {
        try part.allow("replacement", "str_rep", "add_prefix_space", "prepend_scheme", "split")
        for key in ["replacement", "str_rep"] { try part.require(key, "▁") }
        let adds = try part.bool("add_prefix_space")
        guard let scheme = try part.string("prepend_scheme") else {
            return adds == false ? .never : .always
        }
        guard let known = UnigramTokenizer.PrefixSpace(rawValue: scheme) else {
            throw part.refusal("'prepend_scheme' is '\(scheme)'")
        }
        guard adds != false || known == .never else {
            throw part.refusal("add_prefix_space and prepend_scheme contradict each other")
        }
        return known
    }

    private func readDecoder(into description: inout UnigramDescription) throws {
        var hasMarks = false
        for part in try parts(of: component("decoder"), "decoders") {
            switch part.type {
            case "ByteFallback" where !hasMarks && !description.decodesBytes:
                try part.allow()
                description.decodesBytes = true
            case "Metaspace" where !hasMarks:
                hasMarks = true
                let decoded = try prefixSpace(part)
                guard (decoded == .never) == (description.prefixSpace == .never) else {
                    throw part.refusal("it does not fit the pre_tokenizer's prepend_scheme")
                }
            default: throw part.refuseType()
            }
        }
        guard hasMarks else {
            throw TokenizerError.unsupported(
                file: file, reason: "decoder: a Unigram model needs a Metaspace")
        }
    }
}
