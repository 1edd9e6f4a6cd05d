import BenchmarkSupport
import Foundation
import RAGKit

/// Encoding of passages from the token ids that `peers/encode.py --export` wrote.
///
///     encode work.json encoder
///
/// Prints a line when ready, then makes one timed run for each line `run float32`, `run bfloat16` or
/// `run int8` on standard input, until `quit`.
@main
struct Encode {
    static func main() throws {
        let (work, directory) = workAndModel("encode")
        let passages = TokenSequences(
            try JSONValue(contentsOf: work).sequences("passages").sequences)
        let encoder = try DPREncoder(contentsOf: directory, role: .context)
        _ = try run(passages, encoder, .float32)  // warm-up
        emit(["ready": true])
        while let line = readLine(), line != "quit" {
            let parts = line.split(separator: " ").map(String.init)
            guard parts.count == 2, let precision = Precision(rawValue: parts[1]) else {
                emit(["error": .string("unknown command '\(line)'; known: run PRECISION, quit")])
                continue
            }
            let (seconds, found) = try run(passages, encoder, precision)
            emit(["seconds": .double(seconds), "vectors": vectors(found)])
        }
    }

    private static func run(
        _ passages: TokenSequences, _ encoder: DPREncoder, _ precision: Precision
    ) throws -> (Double, Tensor) {
        var found = Tensor.zeros([0])
        let seconds = try ContinuousClock().measure {
            found = try withPrecision(precision) { try encoder.vectors(of: passages) }
        }
        return (seconds / .seconds(1), found)
    }

    /// The first numbers of the first vectors, for the driver to compare.
    private static func vectors(_ found: Tensor) -> JSONValue {
        .array(
            (0..<min(4, found.dim(0))).map { row in
                .array(
                    found.slice(row..<row + 1).elements.prefix(64).map { .double(Double($0)) })
            })
    }

    private static func emit(_ values: JSONValue) { BenchmarkSupport.emit("encode", values) }
}
