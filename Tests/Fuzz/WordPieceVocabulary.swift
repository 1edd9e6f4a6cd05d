// sources: Sources/RAGKit/Files/**/*.swift Sources/RAGKit/Tokenizers/**/*.swift
// sources: Tests/Fuzz/TokenizerProbe.swift
// seeds: Tests/RAGKitTests/Fixtures/tokenizers/*/vocab.txt
import Foundation

/// Any bytes as a `vocab.txt`: an error, or a tokenizer that encodes and decodes.
@_cdecl("LLVMFuzzerTestOneInput")
public func fuzzWordPieceVocabulary(_ start: UnsafePointer<UInt8>?, _ count: Int) -> CInt {
    let bytes = Array(UnsafeBufferPointer(start: start, count: count))
    do {
        let vocabulary = try VocabularyFiles.wordPieceVocabulary(bytes, file: "vocab.txt")
        TokenizerProbe.use(
            try WordPieceTokenizer(
                vocabulary: vocabulary, configuration: TokenizerConfiguration(), file: "vocab.txt"))
    } catch is TokenizerError {
        // What is wrong has been said.
    } catch {
        fatalError("an error of another kind: \(error)")
    }
    return 0
}
