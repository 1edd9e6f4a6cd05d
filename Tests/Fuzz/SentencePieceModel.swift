// sources: Sources/RAGKit/Tokenizers/*.swift Sources/RAGKit/Checkpoints/JSON*.swift
// sources: Sources/RAGKit/Checkpoints/MappedFile.swift Sources/RAGKit/Checkpoints/AtomicFile.swift
// sources: Sources/RAGKit/Checkpoints/File*.swift Sources/RAGKit/Checkpoints/CheckpointError.swift
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
