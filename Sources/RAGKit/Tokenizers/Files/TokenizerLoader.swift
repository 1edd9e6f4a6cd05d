import Foundation

/// Picks the tokenizer that a directory's files describe.
enum TokenizerLoader {
    static let wordPieceClasses = [
        "BertTokenizer", "DPRQuestionEncoderTokenizer", "DPRContextEncoderTokenizer",
        "DPRReaderTokenizer", "DistilBertTokenizer", "ElectraTokenizer", "MobileBertTokenizer",
        "RetriBertTokenizer", "RealmTokenizer",
    ]
    static let bartClasses = [
        "BartTokenizer", "RobertaTokenizer", "LEDTokenizer", "LongformerTokenizer",
    ]
    static let gpt2Classes = ["GPT2Tokenizer"]
    static let t5Classes = ["T5Tokenizer"]
    /// The most sentinels that are accepted; more are taken for damage.
    static let mostSentinels = 10_000

    static func load(_ directory: URL) throws -> any Tokenizer {
        func url(_ name: String) -> URL? { TokenizerFiles.existing(name, in: directory) }
        let configuration = try TokenizerConfiguration.read(from: directory)
        if let file = url(TokenizerFiles.tokenizerJSON) {
            // `transformers` rebuilds T5 from its model if this setting is given.
            if configuration.addPrefixSpace != nil,
                let model = url(TokenizerFiles.sentencePieceModel),
                configuration.baseClass.map(t5Classes.contains) == true
            {
                return try unigram(model, configuration)
            }
            return try TokenizerJSON(TokenizerFiles.read(file), file: file.path)
                .tokenizer(configuration)
        }
        if let vocabulary = url(TokenizerFiles.wordPieceVocabulary) {
            return try wordPiece(vocabulary, configuration)
        }
        if let vocabulary = url(TokenizerFiles.bytePairVocabulary) {
            guard let merges = url(TokenizerFiles.bytePairMerges) else {
                throw TokenizerError.missingFile(
                    directory: directory.path, expected: "merges.txt beside vocab.json")
            }
            return try byteLevelBPE(vocabulary, merges, configuration)
        }
        if let model = url(TokenizerFiles.sentencePieceModel) {
            return try unigram(model, configuration)
        }
        throw TokenizerError.missingFile(
            directory: directory.path,
            expected: "tokenizer.json, vocab.txt, vocab.json with merges.txt, or spiece.model")
    }

    /// Loads a tokenizer of a kind that is known.
    ///
    /// - Throws: `TokenizerError`, also if the directory holds one of another kind.
    static func load<Kind: Tokenizer>(_ kind: Kind.Type, _ directory: URL) throws -> Kind {
        let tokenizer = try load(directory)
        guard let known = tokenizer as? Kind else {
            throw TokenizerError.unsupported(
                file: directory.path, reason: "it holds a \(type(of: tokenizer)), not a \(kind)")
        }
        return known
    }

    static func wordPiece(
        _ vocabulary: URL, _ configuration: TokenizerConfiguration
    ) throws -> WordPieceTokenizer {
        try check(configuration, vocabulary, known: wordPieceClasses)
        return try WordPieceTokenizer(
            vocabulary: VocabularyFiles.wordPieceVocabulary(vocabulary),
            configuration: configuration, file: vocabulary.path)
    }

    static func byteLevelBPE(
        _ vocabulary: URL, _ merges: URL, _ configuration: TokenizerConfiguration
    ) throws -> ByteLevelBPETokenizer {
        try check(configuration, vocabulary, known: bartClasses + gpt2Classes)
        let entries = try VocabularyJSON.entries(of: vocabulary)
        // Without a class name, the special tokens tell.
        let looksLikeBart = entries.contains { $0.token == "<s>" }
        let isBart = configuration.baseClass.map(bartClasses.contains) ?? looksLikeBart
        return try ByteLevelBPETokenizer(
            vocabulary: entries, merges: VocabularyFiles.merges(merges),
            style: isBart ? .bart : .gpt2, configuration: configuration,
            vocabularyFile: vocabulary.path, mergesFile: merges.path)
    }

    static func unigram(
        _ model: URL, _ configuration: TokenizerConfiguration
    ) throws -> UnigramTokenizer {
        try check(configuration, model, known: t5Classes)
        let extraIDs = configuration.sentinelCount
        guard 0...mostSentinels ~= extraIDs else {
            throw TokenizerError.invalidSetting(
                name: "extra_ids", reason: "\(extraIDs) is not from 0 to \(mostSentinels)")
        }
        if let said = configuration.extraIDs, said > 0, said != extraIDs {
            throw TokenizerError.invalidSetting(
                name: "extra_ids",
                reason: "it is \(said), but additional_special_tokens names \(extraIDs) sentinels")
        }
        let prefixSpace: UnigramTokenizer.PrefixSpace =
            configuration.addPrefixSpace == false
            ? .never : configuration.legacy == false ? .first : .always
        let description = try UnigramDescription(
            sentencePiece: TokenizerFiles.read(model), file: model.path, extraIDs: extraIDs,
            prefixSpace: prefixSpace)
        return try UnigramTokenizer(description, configuration: configuration)
    }

    private static func check(
        _ configuration: TokenizerConfiguration, _ vocabulary: URL, known: [String]
    ) throws {
        guard let name = configuration.baseClass, !known.contains(name) else { return }
        throw TokenizerError.unsupported(
            file: vocabulary.path,
            reason: "the tokenizer_class '\(name)' of its tokenizer_config.json; known for this "
                + "kind of file are " + known.joined(separator: ", "))
    }
}
