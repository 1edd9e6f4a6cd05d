import Foundation

extension TokenizerJSON {
    /// The tokenizer that the parts describe: one of the pipelines of BERT, BART, GPT-2 and T5.
    ///
    /// - Parameter configuration: The settings beside the file. If they name a class, they decide
    ///   on lower-casing and prefix spaces, as in `transformers`.
    func tokenizer(_ configuration: TokenizerConfiguration) throws -> any Tokenizer {
        switch try modelType() {
        case "WordPiece": return try wordPiece(configuration)
        case "BPE": return try byteLevelBPE(configuration)
        case "Unigram": return try unigram(configuration)
        case let type:
            throw TokenizerError.unsupported(
                file: file,
                reason: "the model type '\(type)'; known are WordPiece, BPE and Unigram")
        }
    }

    /// The type of the model, inferred from its members in older files, which do not name it.
    private func modelType() throws -> String {
        if let type = model.settings["type"] { return type.stringValue ?? type.summary }
        if model.pieces != nil { return "Unigram" }
        if model.merges != nil { return "BPE" }
        return model.settings["max_input_chars_per_word"] != nil ? "WordPiece" : "nothing"
    }

    private func modelPart(_ type: String) -> TokenizerComponent {
        TokenizerComponent(type: type, settings: model.settings, path: "model", file: file)
    }

    private func required(_ key: String) throws -> TokenizerComponent {
        guard let part = try component(key) else {
            throw TokenizerError.unsupported(file: file, reason: "it has no \(key)")
        }
        return part
    }

    private func known(
        _ configuration: TokenizerConfiguration, among classes: [String]
    ) throws -> Bool {
        guard let name = configuration.baseClass, name != "PreTrainedTokenizer" else {
            return false
        }
        guard classes.contains(name) else {
            throw TokenizerError.unsupported(
                file: file,
                reason: "the tokenizer_class '\(name)' of its tokenizer_config.json; known for "
                    + "this kind of model are " + classes.joined(separator: ", "))
        }
        return true
    }

    // MARK: - WordPiece

    private func wordPiece(_ configuration: TokenizerConfiguration) throws -> WordPieceTokenizer {
        let part = modelPart("WordPiece")
        try part.allow("unk_token", "continuing_subword_prefix", "max_input_chars_per_word")
        try part.require("continuing_subword_prefix", "##")
        try part.require(
            "max_input_chars_per_word", .int(BertWordScanner.longestWord))
        guard let entries = model.entries, model.merges == nil else {
            throw part.refusal("its vocabulary is no object from token to id")
        }
        let decoder = try required("decoder")
        guard decoder.type == "WordPiece" else { throw decoder.refuseType() }
        try decoder.allow("prefix", "cleanup")
        try decoder.require("prefix", "##")
        try decoder.require("cleanup", true)
        let splitter = try required("pre_tokenizer")
        guard splitter.type == "BertPreTokenizer" else { throw splitter.refuseType() }
        try splitter.allow()

        var configuration = try withBertNormalizer(configuration)
        if let unknown = try part.string("unk_token"), configuration.roleTokens[.unk] == nil {
            configuration.roleTokens[.unk] = TokenEntry(unknown)
        }
        var vocabulary = [String](
            repeating: "", count: 1 + Int(entries.map(\.id).max() ?? -1))
        for entry in entries { vocabulary[Int(entry.id)] = entry.token }
        let tokenizer = try WordPieceTokenizer(
            vocabulary: vocabulary, added: addedTokens, configuration: configuration, file: file)
        guard tokenizer.template == (try template()) else {
            throw try required("post_processor").refusal(
                "it puts other tokens around texts than the cls and sep tokens")
        }
        return tokenizer
    }

    private func withBertNormalizer(
        _ configuration: TokenizerConfiguration
    ) throws -> TokenizerConfiguration {
        var configuration = configuration
        let isKnown = try known(configuration, among: TokenizerLoader.wordPieceClasses)
        let part = try required("normalizer")
        guard part.type == "BertNormalizer" else { throw part.refuseType() }
        try part.allow("clean_text", "handle_chinese_chars", "strip_accents", "lowercase")
        try part.require("clean_text", true)
        let ideographs = try part.bool("handle_chinese_chars")
        let (strip, lowercase) = (try part.bool("strip_accents"), try part.bool("lowercase"))
        guard !isKnown else { return configuration }  // the class sets all three
        configuration.tokenizerClass = nil
        configuration.tokenizeChineseChars = ideographs
        configuration.stripAccents = strip
        configuration.doLowerCase = lowercase
        return configuration
    }

    // MARK: - Byte-level BPE

    private func byteLevelBPE(
        _ configuration: TokenizerConfiguration
    ) throws -> ByteLevelBPETokenizer {
        let part = modelPart("BPE")
        try part.allow(
            "dropout", "unk_token", "continuing_subword_prefix", "end_of_word_suffix", "fuse_unk",
            "byte_fallback", "ignore_merges")
        for key in ["continuing_subword_prefix", "end_of_word_suffix"] {
            try part.require(key, "")
        }
        for key in ["byte_fallback", "ignore_merges"] { try part.require(key, false) }
        if let dropout = part["dropout"], dropout.doubleValue != 0 {
            throw part.refusal("'dropout' is \(dropout.summary)")
        }
        guard let entries = model.entries, let merges = model.merges else {
            throw part.refusal(
                "its vocabulary is no object from token to id, or merges are missing")
        }
        if part["unk_token"] != nil { try refuseMissingBytes(part, entries) }
        if let normalizer = try component("normalizer") { throw normalizer.refuseType() }
        let decoder = try required("decoder")
        guard decoder.type == "ByteLevel" else { throw decoder.refuseType() }
        try decoder.allow("add_prefix_space", "trim_offsets", "use_regex")
        let splitter = try required("pre_tokenizer")
        guard splitter.type == "ByteLevel" else { throw splitter.refuseType() }
        try splitter.allow("add_prefix_space", "trim_offsets", "use_regex")
        try splitter.require("use_regex", true)

        let template = try template()
        var configuration = configuration
        let isKnown = try known(
            configuration, among: TokenizerLoader.bartClasses + TokenizerLoader.gpt2Classes)
        if !isKnown {
            configuration.tokenizerClass = nil
            configuration.addPrefixSpace = try splitter.bool("add_prefix_space")
        }
        let hasMarkers = !template.suffix.isEmpty
        let isBart = configuration.baseClass.map(TokenizerLoader.bartClasses.contains) ?? hasMarkers
        if !isBart { configuration.addBosToken = template.prefix.isEmpty ? nil : true }
        let tokenizer = try ByteLevelBPETokenizer(
            vocabulary: entries, merges: merges, style: isBart ? .bart : .gpt2, added: addedTokens,
            configuration: configuration, vocabularyFile: file, mergesFile: file)
        guard tokenizer.template == template else {
            throw TokenizerError.unsupported(
                file: file,
                reason: "post_processor: it puts other tokens around texts than "
                    + (isBart ? "the cls and sep tokens" : "a bos token or none"))
        }
        return tokenizer
    }

    /// Throws if there is an unknown token that could be needed. Our tokenizer drops bytes that the
    /// vocabulary lacks, as the reference does without an unknown token.
    private func refuseMissingBytes(
        _ part: TokenizerComponent, _ entries: [VocabularyJSON.Entry]
    ) throws {
        let table = vocabularyTable()
        for scalar in ByteLevelAlphabet.scalars where table.known(String(scalar)) == nil {
            throw part.refusal("it has an unk_token, and its vocabulary lacks '\(scalar)'")
        }
    }

    // MARK: - Unigram

    private func unigram(_ configuration: TokenizerConfiguration) throws -> UnigramTokenizer {
        var configuration = configuration
        if try !known(configuration, among: TokenizerLoader.t5Classes) {
            configuration.tokenizerClass = nil
        }
        return try UnigramTokenizer(unigramDescription(), configuration: configuration)
    }
}
