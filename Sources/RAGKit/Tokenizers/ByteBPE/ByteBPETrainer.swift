/// Learns a byte-level BPE vocabulary from text.
///
/// It begins with the 256 bytes and joins the most frequent pair of neighbours within words until
/// the vocabulary is full. The same texts give the same files, byte for byte, in any order and in
/// every process.
///
/// Ids in BART style: `<s>` 0, `<pad>` 1, `</s>` 2, `<unk>` 3, the bytes, the merges, and `<mask>`
/// last. In GPT-2 style: the bytes, the merges, `<|endoftext|>` last.
///
/// Source: Radford et al. 2019, section 2.2; Sennrich et al. 2016, arXiv:1508.07909.
public struct ByteBPETrainer: Sendable {
    /// The largest number of tokens. There are fewer if the texts have no more pairs to join.
    public var vocabularySize: Int
    /// The number of times that a pair must occur to be joined.
    public var minimumFrequency: Int
    /// The special tokens of the vocabulary.
    public var style: ByteLevelBPETokenizer.Style
    /// True to put a space before a text's first word, in training and in the tokenizer.
    public var addsPrefixSpace: Bool

    public init(
        vocabularySize: Int, minimumFrequency: Int = 2,
        style: ByteLevelBPETokenizer.Style = .bart, addsPrefixSpace: Bool = false
    ) {
        self.vocabularySize = vocabularySize
        self.minimumFrequency = minimumFrequency
        self.style = style
        self.addsPrefixSpace = addsPrefixSpace
    }

    /// Learns from `texts`. Only word counts are kept in memory.
    ///
    /// - Throws: `TokenizerError.invalidSetting` if `vocabularySize` has no room for the bytes and
    ///   the special tokens.
    public func train(on texts: some Sequence<String>) throws -> ByteLevelBPETokenizer {
        let (first, last) = specialTokens
        let smallest = first.count + 256 + last.count
        guard vocabularySize >= smallest else {
            throw TokenizerError.invalidSetting(
                name: "vocabularySize",
                reason: "\(vocabularySize) is too small: the 256 bytes and "
                    + "\(smallest - 256) special tokens need \(smallest)")
        }

        // Symbols are ids of the vocabulary to be, bytes in the order of their characters.
        let characters = ByteLevelAlphabet.scalars
        let order = (0..<256).sorted { characters[$0] < characters[$1] }
        var vocabulary = first
        var byteIDs = [Int32](repeating: 0, count: 256)
        var ids: [String: Int32] = [:]
        func add(_ token: String) -> Int32 {
            let id = Int32(vocabulary.count)
            ids[token] = id
            vocabulary.append(token)
            return id
        }
        for byte in order { byteIDs[byte] = add(String(characters[byte])) }

        var trainer = PairMergeTrainer()
        countedWords(texts).forEach { word, count in
            trainer.add(word.map { byteIDs[Int($0)] }, count: count)
        }
        let reserved = Set(first + last)
        var merges: [(String, String)] = []
        trainer.train(limit: vocabularySize - smallest, minimumFrequency: minimumFrequency) {
            merge in
            let (left, right) = (vocabulary[Int(merge.left)], vocabulary[Int(merge.right)])
            if reserved.contains(left + right) || ids[left + right] != nil { return nil }
            merges.append((left, right))
            return add(left + right)
        }
        return try ByteLevelBPETokenizer(
            vocabulary: vocabulary + last, merges: merges, style: style,
            addsPrefixSpace: addsPrefixSpace)
    }

    private var specialTokens: (first: [String], last: [String]) {
        switch style {
        case .bart: (["<s>", "<pad>", "</s>", "<unk>"], ["<mask>"])
        case .gpt2: ([], ["<|endoftext|>"])
        }
    }

    private func countedWords(_ texts: some Sequence<String>) -> WordCounter {
        let scanner = GPT2WordScanner()
        var counter = WordCounter()
        for text in texts {
            var text = addsPrefixSpace && text.utf8.first != 0x20 ? " " + text : text
            text.withUTF8 { text in
                scanner.forEachWord(in: text) { range in
                    counter.add(UnsafeBufferPointer(rebasing: text[range]))
                }
            }
        }
        return counter
    }
}
