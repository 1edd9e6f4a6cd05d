import Foundation
import RAGKit

#if canImport(Glibc)
    import Glibc
#endif

/// Prints one line for the driver, with the most memory the process ever held.
public func emit(_ bench: String, _ values: JSONValue) {
    var values = values
    values["bench"] = .string(bench)
    values["peak_rss_mb"] = .double(peakMegabytes())
    print(values.text(indent: nil))
    fflush(nil)
}

private func peakMegabytes() -> Double {
    var usage = rusage()
    #if os(Linux)
        getrusage(__rusage_who_t(RUSAGE_SELF.rawValue), &usage)
        return Double(usage.ru_maxrss) / 1024
    #else
        getrusage(RUSAGE_SELF, &usage)
        return Double(usage.ru_maxrss) / 1_048_576
    #endif
}

/// The two files of a benchmark: the work that a peer exported, and the model it saved.
///
/// Without these two arguments the program says how it is used and ends.
public func workAndModel(_ program: String) -> (work: URL, model: URL) {
    let arguments = CommandLine.arguments
    guard 3...4 ~= arguments.count else {
        FileHandle.standardError.write(
            Data("usage: \(program) work.json model-directory [precision]\n".utf8))
        exit(2)
    }
    return (URL(fileURLWithPath: arguments[1]), URL(fileURLWithPath: arguments[2]))
}

/// The number format of products: the third argument, Float32 without one.
public func precisionArgument() -> Precision {
    guard CommandLine.arguments.count > 3 else { return .float32 }
    guard let precision = Precision(rawValue: CommandLine.arguments[3]) else {
        FileHandle.standardError.write(
            Data("precisions are float32, bfloat16 and int8\n".utf8))
        exit(2)
    }
    return precision
}

/// Runs `body` once with its operators counted, and says on standard error where the time went.
public func profiled<Result>(
    _ body: () throws -> Result
) async rethrows -> (Result, ProfileReport) {
    let profile = Profile()
    let result = try await withProfile(profile) { try body() }
    let report = profile.report(peak: .measured())
    FileHandle.standardError.write(Data("\(report)\n".utf8))
    return (result, report)
}

extension JSONValue {
    /// Sequences of token ids.
    public func sequences(_ key: String) throws -> TokenBatch {
        TokenBatch(
            try (array(key) ?? []).map { row in
                (row.arrayValue ?? []).map { Int32($0.intValue ?? 0) }
            })
    }
}

/// The RAG model of a directory without tokenizers, which work given as token ids does not need.
public func modelWithoutTokenizers(
    _ directory: URL
) throws -> (model: RagModel, tokenizer: any Tokenizer) {
    let config = try JSONValue(contentsOf: directory.appendingPathComponent("config.json"))
    let encoder = try DPRConfiguration(role: .question, json: config["question_encoder"] ?? [:])
    let generator = try BartConfiguration(json: config["generator"] ?? [:])
    let (model, pieces) = try withoutTokenizers(
        DPREncoder(configuration: encoder), BartGenerator(configuration: generator),
        RagConfiguration(json: config))
    try model.load(ModelWeights(directory: directory))
    model.configuration.compatibility = .huggingFace
    return (model, pieces)
}

/// A RAG model of parts with random weights.
public func randomModel(
    _ encoder: DPREncoder, _ generator: BartGenerator
) throws -> (model: RagModel, tokenizer: any Tokenizer) {
    var numbers = SeededGenerator(seed: 1)
    let made = try withoutTokenizers(encoder, generator, RagConfiguration())
    made.model.initialize(using: &numbers)
    return made
}

private func withoutTokenizers(
    _ encoder: DPREncoder, _ generator: BartGenerator, _ configuration: RagConfiguration
) throws -> (model: RagModel, tokenizer: any Tokenizer) {
    let pieces = try WordPieceTrainer(vocabularySize: 100).train(on: ["nothing to tokenize"])
    let bytes = try ByteBPETrainer(vocabularySize: 300).train(on: ["nothing to tokenize"])
    let model = try RagModel(
        questionEncoder: encoder, questionTokenizer: pieces, generator: generator,
        generatorTokenizer: bytes, configuration: configuration)
    return (model, pieces)
}
