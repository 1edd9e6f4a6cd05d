// sources: Sources/RAGKit/Checkpoints/[!M]*.swift Sources/RAGKit/Checkpoints/MappedFile.swift
// seeds: Tests/RAGKitTests/Fixtures/checkpoints/*.safetensors Tests/RAGKitTests/Fixtures/checkpoints/*/*.safetensors

/// Any bytes as a safetensors file: an error, or tensors inside the file.
@_cdecl("LLVMFuzzerTestOneInput")
public func fuzzSafetensors(_ start: UnsafePointer<UInt8>?, _ count: Int) -> CInt {
    let bytes = UnsafeRawBufferPointer(start: start, count: count)
    do {
        let file = try SafetensorsFile(MappedFile(copying: bytes, path: "model.safetensors"))
        for entry in file.entries {
            // Reads every byte, for the address sanitizer to see.
            StoredTensor(entry).withBytes { content in
                precondition(content.count <= count)
                _ = content.reduce(0, ^)
            }
        }
    } catch is CheckpointError {
        // What is wrong has been said.
    } catch {
        fatalError("an error of another kind: \(error)")
    }
    return 0
}
