// sources: Sources/RAGKit/Files/**/*.swift Sources/RAGKit/Tokenizers/**/*.swift
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
