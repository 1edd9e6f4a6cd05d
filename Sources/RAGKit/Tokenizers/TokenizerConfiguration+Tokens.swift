/// How a tokenizer's special and added tokens follow from its configuration and vocabulary.
struct ResolvedTokens: Sendable {
    var special: SpecialTokens
    /// By id.
    var added: [AddedToken]
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

    static let t5 = TokenDefaults(
        contents: [
            (\.eosToken, TokenEntry(content: "</s>")), (\.unkToken, TokenEntry(content: "<unk>")),
            (\.padToken, TokenEntry(content: "<pad>")),
        ],
        required: [\.eosToken, \.unkToken])
}

extension TokenizerConfiguration {
    /// Finds the ids of all special and added tokens, and checks that they fit the vocabulary.
    ///
    /// - Parameters:
    ///   - base: Tokens that the vocabulary file itself declares; the configuration may say more.
    ///   - file: The vocabulary's name, for errors.
    ///   - vocabularySize: One more than the highest id of the vocabulary.
    ///   - vocabularyID: The id of a token of the vocabulary, or `nil`.
    func resolvedTokens(
        _ defaults: TokenDefaults, base: [AddedToken] = [], file: String, vocabularySize: Int,
        vocabularyID: (String) -> Int32?
    ) throws -> ResolvedTokens {
        var added = try declaredTokens(base, file, vocabularySize, vocabularyID)
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
            added: added.sorted { $0.id < $1.id },
            vocabularySize: max(vocabularySize, (added.map { Int($0.id) }.max() ?? -1) + 1))
    }

    /// The tokens of `base` and the entries of `added_tokens_decoder`, by id.
    private func declaredTokens(
        _ base: [AddedToken], _ file: String, _ vocabularySize: Int,
        _ vocabularyID: (String) -> Int32?
    ) throws -> [AddedToken] {
        func refuse(_ reason: String) -> TokenizerError {
            .unsupported(
                file: file, reason: "added_tokens_decoder of its tokenizer_config.json: " + reason)
        }
        var tokens = base
        for (key, entry) in addedTokensDecoder ?? [:] {
            guard let id = Int32(key), id >= 0, id <= VocabularyFiles.highestID else {
                throw refuse("'\(key)' is no id")
            }
            let place = tokens.firstIndex { $0.content == entry.content }
            if let known = vocabularyID(entry.content) ?? place.map({ tokens[$0].id }), known != id
            {
                throw refuse(
                    "'\(entry.content)' has the id \(id) there but \(known) in the vocabulary")
            }
            if vocabularyID(entry.content) == nil, id < vocabularySize {
                throw refuse(
                    "the id \(id) of '\(entry.content)' belongs to another token of the vocabulary")
            }
            if let twin = tokens.first(where: { $0.id == id && $0.content != entry.content }) {
                throw refuse("the id \(id) of '\(entry.content)' is also that of '\(twin.content)'")
            }
            let token = AddedToken(entry, id: id, special: entry.flags?.special ?? false)
            if let place { tokens[place] = token } else { tokens.append(token) }
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
            let token = tokens.added.first { $0.id == id }
            result[keyPath: role] = token.map { TokenEntry(content: $0.content) }
        }
        result.addedTokensDecoder = [:]
        for token in tokens.added {
            result.addedTokensDecoder?[String(token.id)] = TokenEntry(
                content: token.content,
                flags: .init(
                    leftStrip: token.leftStrip, rightStrip: token.rightStrip,
                    singleWord: token.singleWord, normalized: token.normalized,
                    special: token.special))
        }
        return result
    }
}

extension AddedToken {
    init(_ entry: TokenEntry, id: Int32, special: Bool) {
        self.init(
            content: entry.content, id: id, leftStrip: entry.flags?.leftStrip ?? false,
            rightStrip: entry.flags?.rightStrip ?? false,
            singleWord: entry.flags?.singleWord ?? false,
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
        for token in AddedTokens.ordered(tokens.added) {
            add(token.content)
            add(token.id)
            for flag in [token.leftStrip, token.rightStrip, token.normalized, token.special] {
                add(flag)
            }
            if token.singleWord { add("single_word") }
        }
    }

    mutating func add(_ template: SequenceTemplate) {
        for part in [template.prefix, template.separator, template.suffix, [template.secondType]] {
            add(UInt64(part.count))
            for id in part { add(id) }
        }
    }
}
