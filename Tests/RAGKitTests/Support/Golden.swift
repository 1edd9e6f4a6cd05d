import Foundation
import Testing

@testable import RAGKit

/// A folder of values that the reference computed: see `Fixtures/golden/README.md`.
struct Golden: Sendable, CustomTestStringConvertible {
    let folder: URL
    let expected: JSONValue
    let tensors: ModelWeights

    init(_ folder: URL) throws {
        self.folder = folder
        expected = try JSONValue(contentsOf: folder.appendingPathComponent("expected.json"))
        tensors = try ModelWeights(
            contentsOf: folder.appendingPathComponent("expected.safetensors"))
    }

    var testDescription: String { folder.lastPathComponent }

    /// Our own folders, and those in `RAGKIT_GOLDEN`.
    static let all: [Golden] = {
        let own = Repository.folder.appendingPathComponent("Tests/RAGKitTests/Fixtures/golden")
        return [own, ExtraFiles.golden].compactMap { $0 }.flatMap { root in
            let names = (try? FileManager.default.contentsOfDirectory(atPath: root.path)) ?? []
            return names.sorted().compactMap { try? Golden(root.appendingPathComponent($0)) }
        }
    }()

    // MARK: Values

    func section(_ kind: Marginalization) throws -> JSONValue {
        try #require(expected[kind == .token ? "rag_token" : "rag_sequence"])
    }

    func strings(_ key: String) throws -> [String] {
        try #require(expected[key]?.arrayValue).map { try #require($0.stringValue) }
    }

    static func ids(_ value: JSONValue?) throws -> [[Int32]] {
        try #require(value?.arrayValue).map { row in
            try #require(row.arrayValue).map { Int32(try #require($0.intValue)) }
        }
    }

    static func numbers(_ value: JSONValue?) throws -> [[Double]] {
        try #require(value?.arrayValue).map { row in
            try #require(row.arrayValue).map { try #require($0.doubleValue) }
        }
    }

    var targets: TokenBatch {
        get throws { TokenBatch(try Self.ids(expected["target_input_ids"])) }
    }

    func setting(_ key: String) throws -> JSONValue { try #require(expected["settings"]?[key]) }

    // MARK: Model

    func checkpoint() throws -> RagModel {
        try RagModel(contentsOf: folder.appendingPathComponent("rag"))
    }

    /// The folder's passages, in index order.
    var passages: [Passage] {
        get throws {
            let text = try String(
                contentsOf: folder.appendingPathComponent("kb.tsv"), encoding: .utf8)
            return text.split(separator: "\n").enumerated().map { index, line in
                let parts = line.split(
                    separator: "\t", maxSplits: 1, omittingEmptySubsequences: false)
                return Passage(
                    id: PassageID(index), title: String(parts[0]), text: String(parts.last ?? ""))
            }
        }
    }

    /// The model with a retriever over the reference's own vectors, in `.huggingFace` compatibility.
    func model(_ kind: Marginalization, endToEnd: Bool) throws -> RagModel {
        let model = try RagModel(contentsOf: folder.appendingPathComponent("rag"))
        model.configuration.marginalization = kind
        model.configuration.compatibility = .huggingFace
        model.configuration.maxQuestionLength = 64
        model.retriever = try DenseRetriever(
            KnowledgeBase(passages: passages), vectors: tensors.tensor("kb_embeddings"))
        if endToEnd {
            try model.loadContextEncoder(from: folder.appendingPathComponent("ctx_encoder"))
        }
        return model
    }

    /// The loss of all questions as one batch, with fresh retrieval.
    func loss(_ model: RagModel, smoothing: Float = 0) async throws -> (RagLoss, Evidence) {
        let questions = try strings("questions")
        let vectors = model.questionEncoder(try model.questionTokens(questions))
        let found = try await model.retrieve(
            questions, vectors: vectors, count: model.configuration.nDocs)
        let evidence = try model.evidence(questions, passages: found)
        let loss = try model.loss(
            vectors: vectors, evidence: evidence, targets: targets, smoothing: smoothing)
        return (loss, evidence)
    }
}

/// Compares one number with a relative tolerance.
func expectClose(
    _ found: Double, _ expected: Double, relative: Double, _ what: String = "",
    sourceLocation: SourceLocation = #_sourceLocation
) {
    #expect(
        abs(found - expected) <= relative * abs(expected),
        "\(what): found \(found), expected \(expected)", sourceLocation: sourceLocation)
}
