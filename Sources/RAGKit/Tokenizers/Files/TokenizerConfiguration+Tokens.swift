/// The special and added tokens of a tokenizer, found from its configuration and vocabulary.
struct ResolvedTokens: Sendable {
    var special: SpecialTokens
    /// Sorted by id.
    var added: [AddedToken]
    /// One more than the highest id of vocabulary and added tokens.
    var vocabularySize: Int
}

/// The tokens of a family of tokenizers that are used where the configuration names none.
struct TokenDefaults: Sendable {
    var contents: [SpecialTokenRole: TokenEntry]
    /// Roles without which the family does not work.
    var required: Set<SpecialTokenRole>

    static let bert = TokenDefaults(
        contents: [
            .unk: TokenEntry("[UNK]"), .sep: TokenEntry("[SEP]"), .pad: TokenEntry("[PAD]"),
            .cls: TokenEntry("[CLS]"), .mask: TokenEntry("[MASK]"),
        ],
        required: [.unk, .sep, .cls])

    static let bart = TokenDefaults(
        contents: [
            .bos: TokenEntry("<s>"), .eos: TokenEntry("</s>"), .unk: TokenEntry("<unk>"),
            .sep: TokenEntry("</s>"), .pad: TokenEntry("<pad>"), .cls: TokenEntry("<s>"),
            .mask: TokenEntry("<mask>", flags: .init(leftStrip: true, normalized: true)),
        ],
        required: [.bos, .eos, .sep, .cls])

    static let gpt2 = TokenDefaults(
        contents: [
            .bos: TokenEntry("<|endoftext|>"), .eos: TokenEntry("<|endoftext|>"),
            .unk: TokenEntry("<|endoftext|>"),
        ],
        required: [])

    static let t5 = TokenDefaults(
        contents: [
            .eos: TokenEntry("</s>"), .unk: TokenEntry("<unk>"), .pad: TokenEntry("<pad>"),
        ],
        required: [.eos, .unk])
}

extension TokenizerConfiguration {
    /// Finds the ids of all special and added tokens, and checks that they fit the vocabulary.
    ///
    /// - Parameters:
    ///   - base: Tokens that the vocabulary file itself declares; the configuration may add more.
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

        var ids: [SpecialTokenRole: Int32] = [:]
        for role in SpecialTokenRole.allCases {
            guard let entry = roleTokens[role] ?? defaults.contents[role] else { continue }
            if let found = id(of: entry) {
                declare(entry, found)
                ids[role] = found
            } else if roleTokens[role] != nil || defaults.required.contains(role) {
                throw TokenizerError.malformed(
                    file: file, line: vocabularySize,
                    reason: "the vocabulary ends without the token '\(entry.content)' "
                        + "(\(role.rawValue)); add it, or name another one in "
                        + TokenizerFiles.configuration)
            }
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
            special: SpecialTokens(ids, others: added.filter(\.special).map(\.id)),
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
        for (id, entry) in (addedTokens ?? [:]).sorted(by: { $0.key < $1.key }) {
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
        return tokens.sorted { $0.id < $1.id }
    }

    /// The configuration to save, in which all tokens are named.
    func spelledOut(_ tokens: ResolvedTokens) -> Self {
        var result = self
        result.roleTokens = [:]
        result.addedTokens = [:]
        for token in tokens.added { result.addedTokens?[token.id] = TokenEntry(token) }
        for role in SpecialTokenRole.allCases {
            guard let id = tokens.special[role] else { continue }
            result.roleTokens[role] = result.addedTokens?[id].map { TokenEntry($0.content) }
        }
        return result
    }
}

extension StableDigest {
    mutating func add(_ tokens: ResolvedTokens) {
        for role in SpecialTokenRole.allCases { add(tokens.special[role] ?? -1) }
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
