// sources: Sources/RAGKit/Files/**/*.swift Sources/RAGKit/Checkpoints/[!M]*.swift
// seeds: Tests/RAGKitTests/Fixtures/golden/*/*/*.json

/// Any bytes as JSON: an error, or a value that is the same when written and read again.
@_cdecl("LLVMFuzzerTestOneInput")
public func fuzzJSON(_ start: UnsafePointer<UInt8>?, _ count: Int) -> CInt {
    let bytes = UnsafeRawBufferPointer(start: start, count: count)
    for dialect in [JSONValue.Dialect.python, .strict] {
        guard let value = try? JSONValue(parsing: bytes, file: "fuzz", dialect: dialect) else {
            continue
        }
        let text = value.text()
        guard let again = try? JSONValue(parsing: text, dialect: dialect) else {
            preconditionFailure("what was written cannot be read: \(text)")
        }
        // NaN and infinities are written as null, so the second text is what has to stay.
        precondition(again.text() == text, "'\(again.text())' was '\(text)'")
    }
    return 0
}
