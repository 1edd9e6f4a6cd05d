import ArgumentParser
import Foundation
import RAGKit

/// Something a program cannot do, in a sentence.
public struct ProgramError: Error, CustomStringConvertible {
    public let description: String

    public init(_ description: String) { self.description = description }
}

/// Runs a program: what it throws becomes a sentence on standard error, and the exit code says so.
public func reporting(_ program: String, _ body: () async throws -> Void) async throws {
    do {
        try await body()
    } catch let error as any CustomStringConvertible & Error {
        note("\(program): \(error)")
        throw ExitCode.failure
    }
}

public enum ModelType: String, ExpressibleByArgument {
    case ragToken = "rag_token"
    case ragSequence = "rag_sequence"

    public var marginalization: Marginalization { self == .ragToken ? .token : .sequence }
}

public enum CompatibilityPreset: String, ExpressibleByArgument {
    case better
    case huggingFace = "hugging-face"
}

/// The number format of products.
public struct PrecisionOptions: ParsableArguments {
    @Option(
        help: "The number format of products: float32, bfloat16, or int8 (not for training).",
        transform: Self.parsed)
    public var precision = Precision.float32

    public init() {}

    private static func parsed(_ argument: String) throws -> Precision {
        guard let precision = Precision(rawValue: argument) else {
            let known = Precision.allCases.map(\.rawValue).joined(separator: ", ")
            throw ValidationError("'\(argument)' is no precision; known are \(known)")
        }
        return precision
    }
}

/// The passages that a checkpoint reads, and the encoder that makes their vectors.
public struct PassageOptions: ParsableArguments {
    @Option(help: "The passages: title, tab, text, one a line.")
    public var csvPath: String?

    @Option(help: "Cut lines of --csv-path into passages of so many words; 0 keeps them whole.")
    public var passageWords = 0

    @Option(help: "A folder with kb/ and index/, as finetune-rag --output-dir writes it.")
    public var indexPath: String?

    @Option(help: "A context encoder directory. [ctx_encoder in the checkpoint]")
    public var contextEncoderName: String?

    @Option(help: "Its tokenizer's directory. [in it, or beside it, or the question encoder's]")
    public var contextTokenizerName: String?

    public init() {}

    public func validate() throws {
        guard csvPath != nil || indexPath != nil else {
            throw ValidationError("name the passages by --csv-path or --index-path")
        }
        guard passageWords >= 0 else { throw ValidationError("--passage-words is at least 0") }
    }

    public func source(_ checkpoint: URL) -> ModelSource {
        func url(_ path: String?) -> URL? { path.map { URL(fileURLWithPath: $0) } }
        var source = ModelSource(model: checkpoint)
        source.knowledgeBase = url(csvPath)
        source.contextEncoder = url(contextEncoderName)
        source.contextTokenizer = url(contextTokenizerName)
        source.index = url(indexPath)
        source.passageWords = passageWords
        return source
    }
}
