import Foundation

/// Loads the tokenizer of a Hugging Face directory.
///
/// The kind follows from the files: `vocab.txt` is WordPiece, `vocab.json` with `merges.txt` is
/// byte-level BPE. Settings come from `tokenizer_config.json` and `special_tokens_map.json` if they
/// are there; without them the family's defaults hold, lower-casing for WordPiece.
///
/// - Throws: `TokenizerError`, naming the file and line.
public func loadTokenizer(from directory: URL) throws -> any Tokenizer {
    try TokenizerLoader.load(from: directory)
}

/// Picks the tokenizer that a directory's files describe.
public enum TokenizerLoader {
    /// See `loadTokenizer(from:)`.
    public static func load(from directory: URL) throws -> any Tokenizer {
        func url(_ name: String) -> URL? {
            let url = directory.appendingPathComponent(name)
            return FileManager.default.fileExists(atPath: url.path) ? url : nil
        }
        let configuration = try TokenizerConfiguration.read(from: directory)
        if let vocabulary = url("vocab.txt") {
            try refuseAddedTokensFile(url("added_tokens.json"), configuration)
            return try wordPiece(vocabulary, configuration)
        }
        if let vocabulary = url("vocab.json") {
            try refuseAddedTokensFile(url("added_tokens.json"), configuration)
            guard let merges = url("merges.txt") else {
                throw TokenizerError.missingFile(
                    directory: directory.path, expected: "merges.txt beside vocab.json")
            }
            return try byteLevelBPE(vocabulary, merges, configuration)
        }
        for (name, what) in [
            ("spiece.model", "SentencePiece models"), ("tokenizer.json", "tokenizer.json alone"),
        ] {
            if let file = url(name) {
                throw TokenizerError.unsupported(
                    file: file.path,
                    reason: "\(what) cannot be read yet; vocab.txt, or vocab.json with "
                        + "merges.txt, can")
            }
        }
        throw TokenizerError.missingFile(
            directory: directory.path, expected: "vocab.txt, or vocab.json with merges.txt")
    }

    static func wordPiece(
        _ vocabulary: URL, _ configuration: TokenizerConfiguration
    ) throws -> WordPieceTokenizer {
        try check(
            configuration, vocabulary,
            known: [
                "BertTokenizer", "DPRQuestionEncoderTokenizer", "DPRContextEncoderTokenizer",
                "DPRReaderTokenizer", "DistilBertTokenizer", "ElectraTokenizer",
                "MobileBertTokenizer", "RetriBertTokenizer", "RealmTokenizer",
            ])
        return try WordPieceTokenizer(
            vocabulary: VocabularyFiles.wordPieceVocabulary(vocabulary),
            configuration: configuration, file: vocabulary.path)
    }

    static func byteLevelBPE(
        _ vocabulary: URL, _ merges: URL, _ configuration: TokenizerConfiguration
    ) throws -> ByteLevelBPETokenizer {
        let bartLike = [
            "BartTokenizer", "RobertaTokenizer", "LEDTokenizer", "LongformerTokenizer",
        ]
        try check(configuration, vocabulary, known: bartLike + ["GPT2Tokenizer"])
        if configuration.addBosToken == true {
            throw TokenizerError.unsupported(
                file: vocabulary.path, reason: "add_bos_token of its tokenizer_config.json")
        }
        let entries = try VocabularyJSON.entries(of: vocabulary)
        // Without a class name, the special tokens tell.
        let looksLikeBart = entries.contains { $0.token == "<s>" }
        let isBart = configuration.baseClass.map(bartLike.contains) ?? looksLikeBart
        return try ByteLevelBPETokenizer(
            vocabulary: entries, merges: VocabularyFiles.merges(merges),
            style: isBart ? .bart : .gpt2, configuration: configuration,
            vocabularyFile: vocabulary.path, mergesFile: merges.path)
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

    /// Older checkpoints list added tokens in a file of their own.
    private static func refuseAddedTokensFile(
        _ file: URL?, _ configuration: TokenizerConfiguration
    ) throws {
        guard let file, configuration.addedTokensDecoder == nil else { return }
        throw TokenizerError.unsupported(
            file: file.path,
            reason: "added tokens are read from added_tokens_decoder of tokenizer_config.json "
                + "only; saving the tokenizer again with transformers writes that")
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
