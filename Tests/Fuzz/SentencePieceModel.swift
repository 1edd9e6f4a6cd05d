// sources: Sources/RAGKit/Files/**/*.swift Sources/RAGKit/Tokenizers/**/*.swift
// sources: Tests/Fuzz/TokenizerProbe.swift
// seeds: Tests/RAGKitTests/Fixtures/tokenizers/*/spiece.model
import Foundation

/// Any bytes as a `spiece.model`: an error, or a tokenizer that encodes and decodes.
@_cdecl("LLVMFuzzerTestOneInput")
public func fuzzSentencePieceModel(_ start: UnsafePointer<UInt8>?, _ count: Int) -> CInt {
    let bytes = Array(UnsafeBufferPointer(start: start, count: count))
    do {
        let description = try UnigramDescription(
            sentencePiece: bytes, file: "spiece.model", extraIDs: 2, prefixSpace: .always)
        TokenizerProbe.use(
            try UnigramTokenizer(description, configuration: TokenizerConfiguration()))
    } catch is TokenizerError {
        // What is wrong has been said.
    } catch {
        fatalError("an error of another kind: \(error)")
    }
    return 0
}
