/// Learns a WordPiece vocabulary from text.
///
/// Words are spelled in characters first; then the most frequent pair of neighbouring pieces is
/// joined, until the vocabulary is full. This is byte-pair encoding, as in the `tokenizers`
/// library, not the likelihood of the WordPiece paper; encoding uses the longest pieces either way.
/// The same texts give the same vocabulary, byte for byte, in any order and in every process.
///
/// Ids: special tokens, characters that begin a word, characters that continue one (`##`), then
/// pieces in the order learnt.
public struct WordPieceTrainer: Sendable {
    /// The largest number of tokens. There are fewer if the texts have no more pairs to join.
    public var vocabularySize: Int
    /// True to lower-case text and strip accents, in training and in the tokenizer.
    public var lowercase: Bool
    /// The number of times that a pair must occur to be joined.
    public var minimumFrequency: Int
    /// The first tokens. `[UNK]`, `[CLS]` and `[SEP]` must be among them.
    public var specialTokens: [String]
    /// The largest number of characters. The most frequent ones are kept; words with others become
    /// `[UNK]`.
    public var alphabetLimit: Int

    public init(
        vocabularySize: Int, lowercase: Bool = true, minimumFrequency: Int = 2,
        specialTokens: [String] = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"],
        alphabetLimit: Int = 1000
    ) {
        self.vocabularySize = vocabularySize
        self.lowercase = lowercase
        self.minimumFrequency = minimumFrequency
        self.specialTokens = specialTokens
        self.alphabetLimit = alphabetLimit
    }

    /// Learns from `texts`. Only word counts are kept in memory.
    ///
    /// - Throws: `TokenizerError.invalidSetting` if `vocabularySize` has no room for the special
    ///   tokens and the characters; `TokenizerError.malformed` if a special token is missing.
    public func train(on texts: some Sequence<String>) throws -> WordPieceTokenizer {
        let counter = countedWords(texts)
        let alphabet = alphabet(of: counter)

        // Symbols are ids of the vocabulary to be.
        var vocabulary = specialTokens
        var ids: [String: Int32] = [:]
        func add(_ token: String) {
            ids[token] = Int32(vocabulary.count)
            vocabulary.append(token)
        }
        for scalar in alphabet.initial { add(String(scalar)) }
        for scalar in alphabet.continuing { add("##" + String(scalar)) }
        guard vocabulary.count <= vocabularySize else {
            throw TokenizerError.invalidSetting(
                name: "vocabularySize",
                reason: "\(vocabularySize) is too small: \(specialTokens.count) special tokens and "
                    + "\(vocabulary.count - specialTokens.count) characters need "
                    + "\(vocabulary.count); raise it or lower alphabetLimit (\(alphabetLimit))")
        }

        var trainer = PairMergeTrainer()
        counter.forEach { word, count in
            var symbols: [Int32] = []
            for scalar in String(decoding: word, as: UTF8.self).unicodeScalars {
                let token = symbols.isEmpty ? String(scalar) : "##" + String(scalar)
                guard let id = ids[token] else { return }  // outside the alphabet
                symbols.append(id)
            }
            trainer.add(symbols, count: count)
        }
        let reserved = Set(specialTokens)
        trainer.train(
            limit: vocabularySize - vocabulary.count, minimumFrequency: minimumFrequency
        ) { merge in
            let right = vocabulary[Int(merge.right)].dropFirst(2)  // always a continuing piece
            let token = vocabulary[Int(merge.left)] + right
            if reserved.contains(token) || ids[token] != nil { return nil }
            add(token)
            return Int32(vocabulary.count - 1)
        }
        return try WordPieceTokenizer(vocabulary: vocabulary, lowercase: lowercase)
    }

    private func countedWords(_ texts: some Sequence<String>) -> WordCounter {
        let scanner = BertWordScanner(
            lowercase: lowercase, stripAccents: lowercase, spacesIdeographs: true)
        var counter = WordCounter()
        for text in texts {
            var text = text
            text.withUTF8 { text in
                scanner.forEachWord(in: text) { word, isTooLong in
                    if !isTooLong { counter.add(word) }
                }
            }
        }
        return counter
    }

    private func alphabet(
        of words: WordCounter
    ) -> (initial: [Unicode.Scalar], continuing: [Unicode.Scalar]) {
        var counts: [Unicode.Scalar: Int] = [:]
        var continuing: Set<Unicode.Scalar> = []
        words.forEach { word, count in
            var isFirst = true
            for scalar in String(decoding: word, as: UTF8.self).unicodeScalars {
                counts[scalar, default: 0] += count
                if !isFirst { continuing.insert(scalar) }
                isFirst = false
            }
        }
        let kept = counts.sorted { ($1.value, $0.key) < ($0.value, $1.key) }
            .prefix(max(0, alphabetLimit)).map(\.key).sorted()
        return (kept, kept.filter(continuing.contains))
    }
}
