/// How a tokenizer's special and added tokens follow from its configuration and vocabulary.
struct ResolvedTokens: Sendable {
    var special: SpecialTokens
    var added: AddedTokens
    /// One more than the highest id of vocabulary and added tokens.
    var vocabularySize: Int
}

/// The tokens of a family of tokenizers where the configuration names none.
struct TokenDefaults: Sendable {
    typealias Role = WritableKeyPath<TokenizerConfiguration, TokenEntry?> & Sendable

    var contents: [(role: Role, entry: TokenEntry)]
    /// Roles the family cannot do without.
    var required: [Role]

    static let bert = TokenDefaults(
        contents: [
            (\.unkToken, TokenEntry(content: "[UNK]")), (\.sepToken, TokenEntry(content: "[SEP]")),
            (\.padToken, TokenEntry(content: "[PAD]")), (\.clsToken, TokenEntry(content: "[CLS]")),
            (\.maskToken, TokenEntry(content: "[MASK]")),
        ],
        required: [\.unkToken, \.sepToken, \.clsToken])

    static let bart = TokenDefaults(
        contents: [
            (\.bosToken, TokenEntry(content: "<s>")), (\.eosToken, TokenEntry(content: "</s>")),
            (\.unkToken, TokenEntry(content: "<unk>")), (\.sepToken, TokenEntry(content: "</s>")),
            (\.padToken, TokenEntry(content: "<pad>")), (\.clsToken, TokenEntry(content: "<s>")),
            (
                \.maskToken,
                TokenEntry(content: "<mask>", flags: .init(leftStrip: true, normalized: true))
            ),
        ],
        required: [\.bosToken, \.eosToken, \.sepToken, \.clsToken])

    static let gpt2 = TokenDefaults(
        contents: [
            (\.bosToken, TokenEntry(content: "<|endoftext|>")),
            (\.eosToken, TokenEntry(content: "<|endoftext|>")),
            (\.unkToken, TokenEntry(content: "<|endoftext|>")),
        ],
        required: [])
}

extension TokenizerConfiguration {
    /// Finds the ids of all special and added tokens, and checks that they fit the vocabulary.
    ///
    /// - Parameters:
    ///   - file: The vocabulary's name, for errors.
    ///   - vocabularySize: One more than the highest id of the vocabulary.
    ///   - vocabularyID: The id of a token of the vocabulary, or `nil`.
    func resolvedTokens(
        _ defaults: TokenDefaults, file: String, vocabularySize: Int,
        vocabularyID: (String) -> Int32?
    ) throws -> ResolvedTokens {
        var added = try declaredTokens(file, vocabularySize, vocabularyID)
        func id(of entry: TokenEntry) -> Int32? {
            vocabularyID(entry.content) ?? added.first { $0.content == entry.content }?.id
        }
        func declare(_ entry: TokenEntry, _ id: Int32) {
            guard !added.contains(where: { $0.content == entry.content }) else { return }
            added.append(AddedToken(entry, id: id, special: true))
        }

        var ids: [Int32?] = []
        for (name, role) in Self.roles {
            let standard = defaults.contents.first { $0.role == role }?.entry
            guard let entry = self[keyPath: role] ?? standard else {
                ids.append(nil)
                continue
            }
            let found = id(of: entry)
            if found == nil, self[keyPath: role] != nil || defaults.required.contains(role) {
                throw TokenizerError.malformed(
                    file: file, line: vocabularySize,
                    reason: "the vocabulary ends without the token '\(entry.content)' "
                        + "(\(name)); add it, or name another one in tokenizer_config.json")
            }
            if let found { declare(entry, found) }
            ids.append(found)
        }
        for entry in additionalSpecialTokens ?? [] {
            guard let found = id(of: entry) else {
                throw TokenizerError.unsupported(
                    file: file,
                    reason: "the additional special token '\(entry.content)' has no id; give it "
                        + "one in added_tokens_decoder of tokenizer_config.json")
            }
            declare(entry, found)
        }
        return ResolvedTokens(
            special: SpecialTokens(
                bos: ids[0], eos: ids[1], unk: ids[2], sep: ids[3], pad: ids[4], cls: ids[5],
                mask: ids[6], others: added.filter(\.special).map(\.id)),
            added: AddedTokens(added),
            vocabularySize: max(vocabularySize, (added.map { Int($0.id) }.max() ?? -1) + 1))
    }

    /// The entries of `added_tokens_decoder`, by id.
    private func declaredTokens(
        _ file: String, _ vocabularySize: Int, _ vocabularyID: (String) -> Int32?
    ) throws -> [AddedToken] {
        func refuse(_ reason: String) -> TokenizerError {
            .unsupported(
                file: file, reason: "added_tokens_decoder of its tokenizer_config.json: " + reason)
        }
        var tokens: [AddedToken] = []
        for (key, entry) in addedTokensDecoder ?? [:] {
            guard let id = Int32(key), id >= 0, id <= VocabularyFiles.highestID else {
                throw refuse("'\(key)' is no id")
            }
            if entry.flags?.singleWord == true {
                throw refuse("'\(entry.content)' has single_word, which is not there yet")
            }
            if let known = vocabularyID(entry.content), known != id {
                throw refuse(
                    "'\(entry.content)' has the id \(id) there but \(known) in the vocabulary")
            }
            if vocabularyID(entry.content) == nil, id < vocabularySize {
                throw refuse(
                    "the id \(id) of '\(entry.content)' belongs to another token of the vocabulary")
            }
            tokens.append(AddedToken(entry, id: id, special: entry.flags?.special ?? false))
        }
        return tokens.sorted { $0.id < $1.id }  // a dictionary's order is random
    }

    /// The configuration to save: `added` and the parts that `special` names, spelled out.
    func spelledOut(_ tokens: ResolvedTokens) -> Self {
        var result = self
        let special = tokens.special
        let ids = [
            special.bos, special.eos, special.unk, special.sep, special.pad, special.cls,
            special.mask,
        ]
        for ((_, role), id) in zip(Self.roles, ids) {
            let token = tokens.added.tokens.first { $0.id == id }
            result[keyPath: role] = token.map { TokenEntry(content: $0.content) }
        }
        result.addedTokensDecoder = [:]
        for token in tokens.added.tokens {
            result.addedTokensDecoder?[String(token.id)] = TokenEntry(
                content: token.content,
                flags: .init(
                    leftStrip: token.leftStrip, rightStrip: token.rightStrip,
                    normalized: token.normalized, special: token.special))
        }
        return result
    }
}

extension AddedToken {
    init(_ entry: TokenEntry, id: Int32, special: Bool) {
        self.init(
            content: entry.content, id: id, leftStrip: entry.flags?.leftStrip ?? false,
            rightStrip: entry.flags?.rightStrip ?? false,
            normalized: entry.flags?.normalized ?? false, special: special)
    }
}

extension StableDigest {
    mutating func add(_ tokens: ResolvedTokens) {
        let special = tokens.special
        for id in [
            special.bos, special.eos, special.unk, special.sep, special.pad, special.cls,
            special.mask,
        ] { add(id ?? -1) }
        for token in tokens.added.tokens {
            add(token.content)
            add(token.id)
            for flag in [token.leftStrip, token.rightStrip, token.normalized, token.special] {
                add(flag)
            }
        }
    }
}
