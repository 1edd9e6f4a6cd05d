// sources: Sources/RAGKit/Files/**/*.swift Sources/RAGKit/Checkpoints/[!M]*.swift
// sources: Tests/Fuzz/CheckpointProbe.swift
// seeds: Tests/RAGKitTests/Fixtures/checkpoints/*.safetensors Tests/RAGKitTests/Fixtures/checkpoints/*/*.safetensors

/// Any bytes as a safetensors file: an error, or tensors inside the file.
@_cdecl("LLVMFuzzerTestOneInput")
public func fuzzSafetensors(_ start: UnsafePointer<UInt8>?, _ count: Int) -> CInt {
    let bytes = UnsafeRawBufferPointer(start: start, count: count)
    return probe(limit: count) {
        try SafetensorsFile(MappedFile(copying: bytes, path: "model.safetensors")).entries.map {
            StoredTensor($0)
        }
    }
}
