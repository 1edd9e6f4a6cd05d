// sources: Sources/RAGKit/Tokenizers/*.swift Sources/RAGKit/Checkpoints/JSON*.swift
// sources: Sources/RAGKit/Checkpoints/MappedFile.swift Sources/RAGKit/Checkpoints/AtomicFile.swift
// sources: Sources/RAGKit/Checkpoints/File*.swift Sources/RAGKit/Checkpoints/CheckpointError.swift
// sources: Tests/Fuzz/TokenizerProbe.swift
// seeds: Tests/RAGKitTests/Fixtures/tokenizers/*/tokenizer.json
import Foundation

/// Any bytes as a `tokenizer.json`: an error, or a tokenizer that encodes and decodes.
@_cdecl("LLVMFuzzerTestOneInput")
public func fuzzTokenizerJSON(_ start: UnsafePointer<UInt8>?, _ count: Int) -> CInt {
    let bytes = Array(UnsafeBufferPointer(start: start, count: count))
    do {
        let json = try TokenizerJSON(bytes, file: "tokenizer.json")
        TokenizerProbe.use(try json.tokenizer(TokenizerConfiguration()))
    } catch is TokenizerError {
        // What is wrong has been said.
    } catch {
        fatalError("an error of another kind: \(error)")
    }
    return 0
}
