import Foundation

/// `tokenizer_config.json`, as far as RAGKit understands it.
struct TokenizerConfiguration: Codable, Sendable {
    var tokenizerClass: String?
    var doLowerCase: Bool?
    var stripAccents: Bool?
    var tokenizeChineseChars: Bool?
    var addPrefixSpace: Bool?
    var addBosToken: Bool?
    /// T5: `false` marks the first word only, not what follows an added token.
    var legacy: Bool?
    /// T5: the number of sentinels behind the pieces.
    var extraIDs: Int?
    var splitSpecialTokens: Bool?
    var truncationSide: String?
    var cleanUpTokenizationSpaces: Bool?
    /// A huge number where the model has no limit.
    var modelMaxLength: Double?
    var bosToken: TokenEntry?
    var eosToken: TokenEntry?
    var unkToken: TokenEntry?
    var sepToken: TokenEntry?
    var padToken: TokenEntry?
    var clsToken: TokenEntry?
    var maskToken: TokenEntry?
    var additionalSpecialTokens: [TokenEntry]?
    var addedTokensDecoder: [String: TokenEntry]?

    enum CodingKeys: String, CodingKey {
        case tokenizerClass = "tokenizer_class"
        case doLowerCase = "do_lower_case"
        case stripAccents = "strip_accents"
        case tokenizeChineseChars = "tokenize_chinese_chars"
        case addPrefixSpace = "add_prefix_space"
        case addBosToken = "add_bos_token"
        case legacy
        case extraIDs = "extra_ids"
        case splitSpecialTokens = "split_special_tokens"
        case truncationSide = "truncation_side"
        case cleanUpTokenizationSpaces = "clean_up_tokenization_spaces"
        case modelMaxLength = "model_max_length"
        case bosToken = "bos_token"
        case eosToken = "eos_token"
        case unkToken = "unk_token"
        case sepToken = "sep_token"
        case padToken = "pad_token"
        case clsToken = "cls_token"
        case maskToken = "mask_token"
        case additionalSpecialTokens = "additional_special_tokens"
        case addedTokensDecoder = "added_tokens_decoder"
    }

    /// Lengths from here on mean "no limit"; the reference writes 1e30.
    private static let unlimited = 1e15

    var modelMaxLengthInTokens: Int? {
        guard let modelMaxLength, modelMaxLength >= 1, modelMaxLength < Self.unlimited else {
            return nil
        }
        return Int(modelMaxLength)
    }

    /// The entries of the seven parts, in a fixed order.
    static let roles: [(name: String, path: WritableKeyPath<Self, TokenEntry?> & Sendable)] = [
        ("bos_token", \.bosToken), ("eos_token", \.eosToken), ("unk_token", \.unkToken),
        ("sep_token", \.sepToken), ("pad_token", \.padToken), ("cls_token", \.clsToken),
        ("mask_token", \.maskToken),
    ]

    /// Reads a directory's `tokenizer_config.json`, with `special_tokens_map.json` for the tokens
    /// it does not name and `added_tokens.json` for the added tokens, where older versions of
    /// `transformers` wrote them. All may be absent.
    static func read(from directory: URL) throws -> Self {
        let file = directory.appendingPathComponent("tokenizer_config.json")
        var result = try decoded(file) ?? Self()
        try result.refuseUnknownSettings(file)
        let map = try decoded(directory.appendingPathComponent("special_tokens_map.json")) ?? Self()
        for (_, path) in roles where result[keyPath: path] == nil {
            result[keyPath: path] = map[keyPath: path]
        }
        if result.additionalSpecialTokens == nil {
            result.additionalSpecialTokens = map.additionalSpecialTokens
        }
        try result.readAddedTokens(directory.appendingPathComponent("added_tokens.json"))
        return result
    }

    private func refuseUnknownSettings(_ file: URL) throws {
        if splitSpecialTokens == true {
            throw TokenizerError.unsupported(
                file: file.path, reason: "split_special_tokens, which spells special tokens out")
        }
        if let truncationSide, truncationSide != "right" {
            throw TokenizerError.unsupported(
                file: file.path, reason: "truncation_side '\(truncationSide)'; only 'right' is")
        }
    }

    /// Tokens of `added_tokens.json`, an object from token to id; `added_tokens_decoder` is newer
    /// and counts alone where there is one.
    private mutating func readAddedTokens(_ file: URL) throws {
        guard addedTokensDecoder == nil, FileManager.default.fileExists(atPath: file.path) else {
            return
        }
        var special = Set(Self.roles.compactMap { self[keyPath: $0.path]?.content })
        special.formUnion((additionalSpecialTokens ?? []).map(\.content))
        addedTokensDecoder = [:]
        for entry in try VocabularyJSON.entries(of: file) {
            let isSpecial = special.contains(entry.token)
            addedTokensDecoder?[String(entry.id)] = TokenEntry(
                content: entry.token, flags: .init(normalized: !isSpecial, special: isSpecial))
        }
    }

    private static func decoded(_ url: URL) throws -> Self? {
        guard FileManager.default.fileExists(atPath: url.path) else { return nil }
        let data = Data(try VocabularyFiles.read(url))
        do {
            return try JSONDecoder().decode(Self.self, from: data)
        } catch DecodingError.typeMismatch(_, let context),
            DecodingError.valueNotFound(_, let context), DecodingError.keyNotFound(_, let context)
        {
            let key = context.codingPath.map(\.stringValue).joined(separator: ".")
            throw TokenizerError.unreadable(
                file: url.path, reason: "at '\(key)': \(context.debugDescription)")
        } catch {
            throw TokenizerError.unreadable(file: url.path, reason: "this is not JSON")
        }
    }

    /// Writes `tokenizer_config.json` and `special_tokens_map.json`, keys sorted.
    func write(to directory: URL) throws {
        var map = Self()
        for (_, path) in Self.roles {
            let content = self[keyPath: path]?.content
            map[keyPath: path] = content.map { TokenEntry(content: $0) }
        }
        map.additionalSpecialTokens = additionalSpecialTokens
        for (name, value) in [("tokenizer_config.json", self), ("special_tokens_map.json", map)] {
            let url = directory.appendingPathComponent(name)
            let encoder = JSONEncoder()
            encoder.outputFormatting = [.prettyPrinted, .sortedKeys, .withoutEscapingSlashes]
            guard let data = try? encoder.encode(value) else {
                throw TokenizerError.cannotWrite(file: url.path, reason: "it is no valid JSON")
            }
            try VocabularyFiles.write(String(decoding: data, as: UTF8.self) + "\n", to: url)
        }
    }
}

/// A token in a configuration: its text alone, or an object with how to match it.
struct TokenEntry: Codable, Sendable, Equatable {
    var content: String
    /// `nil`: written as text alone.
    var flags: Flags?

    struct Flags: Sendable, Equatable {
        var leftStrip = false
        var rightStrip = false
        var singleWord = false
        var normalized = false
        var special: Bool?
    }

    private enum CodingKeys: String, CodingKey {
        case content, lstrip, rstrip, normalized, special
        case singleWord = "single_word"
    }

    init(content: String, flags: Flags? = nil) {
        self.content = content
        self.flags = flags
    }

    init(from decoder: any Decoder) throws {
        if let text = try? decoder.singleValueContainer().decode(String.self) {
            self.init(content: text)
            return
        }
        let object = try decoder.container(keyedBy: CodingKeys.self)
        func flag(_ key: CodingKeys) throws -> Bool? {
            try object.decodeIfPresent(Bool.self, forKey: key)
        }
        self.init(
            content: try object.decode(String.self, forKey: .content),
            flags: Flags(
                leftStrip: try flag(.lstrip) ?? false, rightStrip: try flag(.rstrip) ?? false,
                singleWord: try flag(.singleWord) ?? false,
                normalized: try flag(.normalized) ?? false, special: try flag(.special)))
    }

    func encode(to encoder: any Encoder) throws {
        guard let flags else {
            var container = encoder.singleValueContainer()
            return try container.encode(content)
        }
        var object = encoder.container(keyedBy: CodingKeys.self)
        try object.encode(content, forKey: .content)
        try object.encode(flags.leftStrip, forKey: .lstrip)
        try object.encode(flags.rightStrip, forKey: .rstrip)
        try object.encode(flags.singleWord, forKey: .singleWord)
        try object.encode(flags.normalized, forKey: .normalized)
        try object.encodeIfPresent(flags.special, forKey: .special)
    }
}
