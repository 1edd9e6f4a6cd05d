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
        let passages = try JSONValue(contentsOf: work).sequences("passages").sequences
        let encoder = try DPREncoder(contentsOf: directory, role: .context)
        _ = run(passages, encoder, .float32)  // warm-up
        emit(["ready": true])
        while let line = readLine(), line != "quit" {
            let parts = line.split(separator: " ").map(String.init)
            guard parts.count == 2, let precision = Precision(rawValue: parts[1]) else {
                emit(["error": .string("unknown command '\(line)'; known: run PRECISION, quit")])
                continue
            }
            let (seconds, found) = run(passages, encoder, precision)
            emit(["seconds": .double(seconds), "vectors": vectors(found)])
        }
    }

    /// As `PassageEncoder`: like lengths together, 4,096 tokens at a time.
    private static func run(
        _ passages: [[Int32]], _ encoder: DPREncoder, _ precision: Precision
    ) -> (Double, [[Float]]) {
        var found = [[Float]](repeating: [], count: passages.count)
        let seconds = ContinuousClock().measure {
            let order = passages.indices.sorted { passages[$0].count < passages[$1].count }
            ForwardContext.$current.withValue(.init(recordsTape: false, precision: precision)) {
                var next = 0
                while next < order.count {
                    let count = max(1, 4096 / max(1, passages[order[next]].count))
                    let members = order[next...].prefix(count)
                    let rows = encoder(TokenBatch(members.map { passages[$0] }))
                    for (row, passage) in members.enumerated() {
                        found[passage] = rows.slice(row..<row + 1).elements
                    }
                    next += members.count
                }
            }
        }
        return (seconds / .seconds(1), found)
    }

    /// The first numbers of the first vectors, for the driver to compare.
    private static func vectors(_ found: [[Float]]) -> JSONValue {
        .array(found.prefix(4).map { .array($0.prefix(64).map { .double(Double($0)) }) })
    }

    private static func emit(_ values: JSONValue) { BenchmarkSupport.emit("encode", values) }
}
