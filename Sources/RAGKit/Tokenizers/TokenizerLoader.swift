import Foundation

/// Loads the tokenizer of a Hugging Face directory.
///
/// The kind follows from the files, in the order of `transformers`: `tokenizer.json` if there is one,
/// then `vocab.txt` (WordPiece), `vocab.json` with `merges.txt` (byte-level BPE), `spiece.model` (T5).
/// Settings come from `tokenizer_config.json`, `special_tokens_map.json` and `added_tokens.json` if
/// they are there; without them the family's defaults hold, lower-casing for `vocab.txt`.
///
/// - Throws: `TokenizerError`, naming the file and the place.
public func loadTokenizer(from directory: URL) throws -> any Tokenizer {
    try TokenizerLoader.load(from: directory)
}

/// Picks the tokenizer that a directory's files describe.
public enum TokenizerLoader {
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
    /// More sentinels than anyone has use for.
    static let mostSentinels = 10_000

    /// See `loadTokenizer(from:)`.
    public static func load(from directory: URL) throws -> any Tokenizer {
        func url(_ name: String) -> URL? {
            let url = directory.appendingPathComponent(name)
            return FileManager.default.fileExists(atPath: url.path) ? url : nil
        }
        let configuration = try TokenizerConfiguration.read(from: directory)
        if let file = url("tokenizer.json") {
            // T5 with this setting is always made anew from its model.
            if configuration.addPrefixSpace != nil, let model = url("spiece.model"),
                configuration.baseClass.map(t5Classes.contains) == true
            {
                return try unigram(model, configuration)
            }
            return try TokenizerJSON(VocabularyFiles.read(file), file: file.path)
                .tokenizer(configuration)
        }
        if let vocabulary = url("vocab.txt") { return try wordPiece(vocabulary, configuration) }
        if let vocabulary = url("vocab.json") {
            guard let merges = url("merges.txt") else {
                throw TokenizerError.missingFile(
                    directory: directory.path, expected: "merges.txt beside vocab.json")
            }
            return try byteLevelBPE(vocabulary, merges, configuration)
        }
        if let model = url("spiece.model") { return try unigram(model, configuration) }
        throw TokenizerError.missingFile(
            directory: directory.path,
            expected: "tokenizer.json, vocab.txt, vocab.json with merges.txt, or spiece.model")
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
            sentencePiece: VocabularyFiles.read(model), file: model.path, extraIDs: extraIDs,
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

extension TokenizerConfiguration {
    /// The class without `Fast`, which is the same tokenizer.
    var baseClass: String? {
        guard let tokenizerClass else { return nil }
        return tokenizerClass.hasSuffix("Fast")
            ? String(tokenizerClass.dropLast(4)) : tokenizerClass
    }
}
