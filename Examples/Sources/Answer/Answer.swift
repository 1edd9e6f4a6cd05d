import ArgumentParser
import ExampleSupport
import Foundation
import RAGKit

@main
struct Answer: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "answer",
        abstract: "Answers questions with a RAG checkpoint, and shows what the answers rest on.",
        discussion: """
            Without --question, asks for questions until the end of input:

              answer --model-name-or-path runs/almanac/checkpoint-best --index-path runs/almanac
            """)

    @Option(help: "A RAG checkpoint directory.")
    var modelNameOrPath: String

    @OptionGroup var passages: PassageOptions

    @Option(help: "A question; may be repeated.")
    var question: [String] = []

    @Option(help: "How many documents are read. [the checkpoint's own]")
    var nDocs: Int?

    @Option(help: "Sequences followed at once. [the checkpoint's own]")
    var numBeams: Int?

    @Option(help: "The most tokens of an answer, start token included. [the checkpoint's own]")
    var maxLength: Int?

    @OptionGroup var products: PrecisionOptions

    @Flag(help: "Print one JSON object for each question, a line each.")
    var json = false

    func validate() throws {
        guard nDocs ?? 1 >= 1, numBeams ?? 1 >= 1, maxLength ?? 1 >= 1 else {
            throw ValidationError("--n-docs, --num-beams and --max-length are at least 1")
        }
    }

    func run() async throws {
        try await reporting("answer") {
            let inference = try open()
            guard question.isEmpty else {
                for text in question { try await answer(text, inference) }
                return
            }
            await prompt(inference)
        }
    }

    private func open() throws -> RagInference {
        let source = passages.source(URL(fileURLWithPath: modelNameOrPath))
        let model = try withPrecision(products.precision) { try source.open(huggingFace: false) }
        if let nDocs { model.configuration.nDocs = nDocs }
        if let numBeams { model.generation.numBeams = numBeams }
        if let maxLength { model.generation.maxLength = maxLength }
        return try model.inference(precision: products.precision)
    }

    /// Asks until the input ends; a question that cannot be answered is no reason to stop.
    private func prompt(_ inference: RagInference) async {
        note("Ask; an empty line or the end of input ends.")
        while true {
            FileHandle.standardError.write(Data("> ".utf8))
            guard let line = readLine(), line.contains(where: { !$0.isWhitespace }) else { return }
            do {
                try await answer(line, inference)
            } catch {
                note("answer: \(error)")
            }
        }
    }

    private func answer(_ question: String, _ inference: RagInference) async throws {
        let start = Date()
        var answer: RagAnswer?
        for try await piece in inference.stream(question) {
            if !json {
                print(piece.text, terminator: "")
                fflush(nil)
            }
            answer = piece.answer ?? answer
        }
        guard let answer else { return }
        let seconds = Date().timeIntervalSince(start)
        json ? print(object(answer, seconds).text(indent: nil)) : show(answer, seconds)
    }

    private func show(_ answer: RagAnswer, _ seconds: Double) {
        print("\n")
        print(
            table(
                ["passage", "score", "prior", "posterior"],
                answer.sources.map { source in
                    let text = "\(source.passage.title): \(source.passage.text)"
                    return [
                        String(text.prefix(60)), rounded(Double(source.score)),
                        rounded(Double(source.prior)), rounded(Double(source.posterior)),
                    ]
                }))
        print(
            "\nlog-probability \(rounded(Double(answer.logProbability))), "
                + "\(rounded(seconds)) s\n")
    }

    private func object(_ answer: RagAnswer, _ seconds: Double) -> JSONValue {
        [
            "question": .string(answer.question), "text": .string(answer.text),
            "token_ids": .array(answer.tokenIDs.map { .int(Int($0)) }),
            "log_probability": .double(Double(answer.logProbability)),
            "seconds": .double(seconds),
            "passages": .array(
                answer.sources.map { source in
                    [
                        "id": .int(source.passage.id.rawValue),
                        "title": .string(source.passage.title),
                        "text": .string(source.passage.text),
                        "score": .double(Double(source.score)),
                        "prior": .double(Double(source.prior)),
                        "posterior": .double(Double(source.posterior)),
                    ]
                }),
        ]
    }
}
