import Foundation

/// The settings of `tokenizer_config.json` that RAGKit understands.
struct TokenizerConfiguration: Sendable {
    var tokenizerClass: String?
    var doLowerCase: Bool?
    var stripAccents: Bool?
    var tokenizeChineseChars: Bool?
    var addPrefixSpace: Bool?
    var addBosToken: Bool?
    /// T5: `false` marks the first word only, not the text after an added token.
    var legacy: Bool?
    /// T5: the number of sentinels behind the pieces.
    var extraIDs: Int?
    var splitSpecialTokens: Bool?
    var truncationSide: String?
    var cleanUpTokenizationSpaces: Bool?
    /// A huge number where the model has no limit.
    var modelMaxLength: Double?
    /// The tokens of `bos_token` to `mask_token`.
    var roleTokens: [SpecialTokenRole: TokenEntry] = [:]
    var additionalSpecialTokens: [TokenEntry]?
    /// The entries of `added_tokens_decoder` by id.
    var addedTokens: [Int32: TokenEntry]?

    /// Lengths from here on mean "no limit"; the reference writes 1e30.
    private static let unlimited = 1e15

    var modelMaxLengthInTokens: Int? {
        guard let modelMaxLength, modelMaxLength >= 1, modelMaxLength < Self.unlimited else {
            return nil
        }
        return Int(modelMaxLength)
    }

    /// The class without `Fast`, which names the same tokenizer.
    var baseClass: String? {
        guard let tokenizerClass else { return nil }
        return tokenizerClass.hasSuffix("Fast")
            ? String(tokenizerClass.dropLast(4)) : tokenizerClass
    }

    /// Reads a directory's `tokenizer_config.json`.
    ///
    /// Tokens that it does not name are taken from `special_tokens_map.json`, added tokens from
    /// `added_tokens.json`, where older versions of `transformers` wrote them. All three files are
    /// optional.
    static func read(from directory: URL) throws -> Self {
        let name = TokenizerFiles.configuration
        let file = directory.appendingPathComponent(name).path
        var result = try decoded(name, in: directory)
        try result.refuseUnknownSettings(file)
        let map = try decoded(TokenizerFiles.specialTokensMap, in: directory)
        result.roleTokens.merge(map.roleTokens) { own, _ in own }
        if result.additionalSpecialTokens == nil {
            result.additionalSpecialTokens = map.additionalSpecialTokens
        }
        if result.addedTokens == nil,
            let file = TokenizerFiles.existing(TokenizerFiles.addedTokens, in: directory)
        {
            try result.readAddedTokens(file)
        }
        return result
    }

    private static func decoded(_ name: String, in directory: URL) throws -> Self {
        guard let json = try TokenizerFiles.json(name, in: directory) else { return Self() }
        return try Self(json, file: directory.appendingPathComponent(name).path)
    }

    private func refuseUnknownSettings(_ file: String) throws {
        if splitSpecialTokens == true {
            throw TokenizerError.unsupported(
                file: file, reason: "split_special_tokens, which spells special tokens out")
        }
        if let truncationSide, truncationSide != "right" {
            throw TokenizerError.unsupported(
                file: file, reason: "truncation_side '\(truncationSide)'; only 'right' is")
        }
    }

    /// Takes the added tokens from `added_tokens.json`, an object from token to id.
    private mutating func readAddedTokens(_ file: URL) throws {
        var special = Set(roleTokens.values.map(\.content))
        special.formUnion((additionalSpecialTokens ?? []).map(\.content))
        var tokens: [Int32: TokenEntry] = [:]
        for entry in try VocabularyJSON.entries(of: file) {
            let isSpecial = special.contains(entry.token)
            tokens[entry.id] = TokenEntry(
                entry.token, flags: .init(normalized: !isSpecial, special: isSpecial))
        }
        addedTokens = tokens
    }

    /// Writes `tokenizer_config.json` and `special_tokens_map.json`.
    func write(to directory: URL) throws {
        var map = Self()
        map.roleTokens = roleTokens.mapValues { TokenEntry($0.content) }
        map.additionalSpecialTokens = additionalSpecialTokens
        for (name, value) in [
            (TokenizerFiles.configuration, self), (TokenizerFiles.specialTokensMap, map),
        ] {
            try TokenizerFiles.write(
                value.json.text() + "\n", to: directory.appendingPathComponent(name))
        }
    }
}
