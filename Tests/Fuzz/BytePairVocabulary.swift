// sources: Sources/RAGKit/Files/**/*.swift Sources/RAGKit/Tokenizers/**/*.swift
// sources: Tests/Fuzz/TokenizerProbe.swift
// seeds: Tests/RAGKitTests/Fixtures/tokenizers/*/vocab.json Tests/RAGKitTests/Fixtures/tokenizers/*/merges.txt
// seeds: Tests/Fuzz/Seeds/vocabulary-and-merges
import Foundation

/// Any bytes as a `vocab.json` and a `merges.txt` with a NUL between, or as either of them with a
/// small one beside it: errors, or a tokenizer that encodes and decodes.
@_cdecl("LLVMFuzzerTestOneInput")
public func fuzzBytePairVocabulary(_ start: UnsafePointer<UInt8>?, _ count: Int) -> CInt {
    let bytes = Array(UnsafeBufferPointer(start: start, count: count))
    if let end = bytes.firstIndex(of: 0) {
        use(vocabulary: Array(bytes[..<end]), merges: Array(bytes[(end + 1)...]))
    } else {
        use(vocabulary: bytes, merges: [])
        use(vocabulary: smallVocabulary, merges: bytes)
    }
    return 0
}

private let smallVocabulary = Array(
    #"{"<s>": 0, "</s>": 1, "a": 2, "b": 3, "ab": 4, "Ġ": 5, "Ġab": 6, "Ã": 7, "Ãa": 8}"#.utf8)

private func use(vocabulary: [UInt8], merges: [UInt8]) {
    do {
        let entries = try VocabularyJSON.entries(of: vocabulary, file: "vocab.json")
        let pairs = try VocabularyFiles.merges(merges, file: "merges.txt")
        for style in [ByteLevelBPETokenizer.Style.bart, .gpt2] {
            TokenizerProbe.use(
                try ByteLevelBPETokenizer(
                    vocabulary: entries, merges: pairs, style: style,
                    configuration: TokenizerConfiguration(), vocabularyFile: "vocab.json",
                    mergesFile: "merges.txt"))
        }
    } catch is TokenizerError {
        // What is wrong has been said.
    } catch {
        fatalError("an error of another kind: \(error)")
    }
}
