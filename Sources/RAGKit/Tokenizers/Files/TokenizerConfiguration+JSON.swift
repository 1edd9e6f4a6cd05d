extension TokenizerConfiguration {
    /// - Parameter file: The file's name, for errors.
    /// - Throws: `TokenizerError` for a value of the wrong type. Unknown keys are ignored.
    init(_ json: JSONValue, file: String) throws {
        guard json.objectValue != nil else {
            throw TokenizerError.unreadable(
                file: file, reason: "expected an object, found \(json.summary)")
        }
        do {
            try self.init(json, tokensOf: file)
        } catch let error as JSONError {
            throw TokenizerError.unreadable(file: file, reason: "\(error)")
        }
    }

    private init(_ json: JSONValue, tokensOf file: String) throws {
        tokenizerClass = try json.string("tokenizer_class")
        doLowerCase = try json.bool("do_lower_case")
        stripAccents = try json.bool("strip_accents")
        tokenizeChineseChars = try json.bool("tokenize_chinese_chars")
        addPrefixSpace = try json.bool("add_prefix_space")
        addBosToken = try json.bool("add_bos_token")
        legacy = try json.bool("legacy")
        extraIDs = try json.int("extra_ids")
        splitSpecialTokens = try json.bool("split_special_tokens")
        truncationSide = try json.string("truncation_side")
        cleanUpTokenizationSpaces = try json.bool("clean_up_tokenization_spaces")
        modelMaxLength = try json.double("model_max_length")
        for role in SpecialTokenRole.allCases {
            guard let value = json[role.rawValue], !value.isNull else { continue }
            roleTokens[role] = try TokenEntry(value, path: role.rawValue, file: file)
        }
        let additional = "additional_special_tokens"
        additionalSpecialTokens = try json.array(additional)?.enumerated().map {
            try TokenEntry($1, path: "\(additional)[\($0)]", file: file)
        }
        addedTokens = try json.object("added_tokens_decoder").map {
            try Self.addedTokens($0, file: file)
        }
    }

    private static func addedTokens(
        _ object: JSONObject, file: String
    ) throws -> [Int32: TokenEntry] {
        var tokens: [Int32: TokenEntry] = [:]
        for (key, value) in object {
            // The spelling is checked, so that no two keys are one id.
            guard let id = Int32(key), "\(id)" == key, 0...VocabularyFiles.highestID ~= Int(id)
            else {
                throw TokenizerError.unsupported(
                    file: file, reason: "added_tokens_decoder: '\(key)' is no id")
            }
            tokens[id] = try TokenEntry(value, path: "added_tokens_decoder.\(key)", file: file)
        }
        return tokens
    }

    /// The settings that are given, keys in alphabetical order as `transformers` writes them.
    var json: JSONValue {
        var members: [String: JSONValue] = [:]
        members["tokenizer_class"] = tokenizerClass.map { .string($0) }
        members["do_lower_case"] = doLowerCase.map { .bool($0) }
        members["strip_accents"] = stripAccents.map { .bool($0) }
        members["tokenize_chinese_chars"] = tokenizeChineseChars.map { .bool($0) }
        members["add_prefix_space"] = addPrefixSpace.map { .bool($0) }
        members["add_bos_token"] = addBosToken.map { .bool($0) }
        members["legacy"] = legacy.map { .bool($0) }
        members["extra_ids"] = extraIDs.map { .int($0) }
        members["split_special_tokens"] = splitSpecialTokens.map { .bool($0) }
        members["truncation_side"] = truncationSide.map { .string($0) }
        members["clean_up_tokenization_spaces"] = cleanUpTokenizationSpaces.map { .bool($0) }
        members["model_max_length"] = modelMaxLength.map { length in
            Int(exactly: length).map { .int($0) } ?? .double(length)
        }
        for (role, entry) in roleTokens { members[role.rawValue] = entry.json }
        members["additional_special_tokens"] = additionalSpecialTokens.map { tokens in
            .array(tokens.map(\.json))
        }
        members["added_tokens_decoder"] = addedTokens.map { tokens in
            var object = JSONObject()
            for (id, entry) in tokens.sorted(by: { $0.key < $1.key }) {
                object["\(id)"] = entry.json
            }
            return .object(object)
        }
        var object = JSONObject()
        for (key, value) in members.sorted(by: { $0.key < $1.key }) { object[key] = value }
        return .object(object)
    }
}
