// sources: Sources/RAGKit/Checkpoints/[!M]*.swift Sources/RAGKit/Checkpoints/MappedFile.swift
// seeds: Tests/RAGKitTests/Fixtures/checkpoints/*.bin Tests/RAGKitTests/Fixtures/checkpoints/*.cp

/// Any bytes as a `pytorch_model.bin`: an error, or tensors inside the file.
@_cdecl("LLVMFuzzerTestOneInput")
public func fuzzZip(_ start: UnsafePointer<UInt8>?, _ count: Int) -> CInt {
    let bytes = UnsafeRawBufferPointer(start: start, count: count)
    do {
        let file = try TorchFile(MappedFile(copying: bytes, path: "pytorch_model.bin"))
        for stored in file.entries {
            // Reads every byte, for the address sanitizer to see.
            stored.withBytes { content in
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
