import Foundation
import Testing

@testable import RAGKit

/// A RAG checkpoint of real size, made by `Fixtures/real-size/make_real_size.py`, which says how to run it.
private enum RealSize {
    /// Memory of this process that no file backs, in bytes.
    static func anonymousMemory() throws -> Int {
        let status = try String(contentsOfFile: "/proc/self/status", encoding: .utf8)
        let line = try #require(status.split(separator: "\n").first { $0.hasPrefix("RssAnon:") })
        return try #require(Int(line.filter(\.isNumber))) * 1024
    }

    static func ids(_ file: SafetensorsFile, _ name: String) throws -> TokenBatch {
        let entry = try file.entry(named: name, dtype: .int32)
        let width = entry.shape[1]
        return TokenBatch(
            (0..<entry.shape[0]).map { row in
                (0..<width).map { entry.element(row * width + $0, as: Int32.self) }
            })
    }

    /// The largest difference, as a part of the largest value.
    static func error(_ found: Tensor, _ expected: Tensor) -> Double {
        let pairs = zip(found.elements, expected.elements)
        let worst = pairs.map { abs(Double($0) - Double($1)) }.max() ?? 0
        return worst / (expected.elements.map { abs(Double($0)) }.max() ?? 1)
    }

    /// The bytes of all files of weights in a checkpoint.
    static func weightBytes(_ folder: URL) throws -> Int {
        let names = ["model.safetensors", "pytorch_model.bin"]
        return names.flatMap { [$0, "ctx_encoder/\($0)"] }.reduce(0) { sum, name in
            let file = try? MappedFile(contentsOf: folder.appendingPathComponent(name))
            return sum + (file?.bytes.count ?? 0)
        }
    }
}

@Suite(.serialized, .tags(.golden, .slow), .unlessFast, .enabled(if: ExtraFiles.realSize != nil))
struct RealSizeTests {
    @Test(arguments: ["safetensors", "bin"]) func loadsAndAgrees(format: String) throws {
        let root = try #require(ExtraFiles.realSize)
        let folder = root.appendingPathComponent(format)
        let bytes = try RealSize.weightBytes(folder)
        for name in ["", "ctx_encoder/"] {  // into the page cache
            for file in ["model.safetensors", "pytorch_model.bin"] {
                let url = folder.appendingPathComponent(name + file)
                _ = try? MappedFile(contentsOf: url, access: .copied)
            }
        }
        let before = try RealSize.anonymousMemory()
        let clock = ContinuousClock()
        var loaded: RagModel?
        let seconds = try clock.measure { loaded = try RagModel(contentsOf: folder) }
        let model = try #require(loaded)
        let growth = try RealSize.anonymousMemory() - before
        print(
            "real size, \(format): \(bytes >> 20) MiB of weights loaded in \(seconds), "
                + "\(growth >> 20) MiB of memory beside the mapped files")
        #expect(seconds < .seconds(2))
        #expect(growth < bytes / 4)

        let expected = try SafetensorsFile(
            contentsOf: root.appendingPathComponent("expected.safetensors"))
        func values(_ name: String) throws -> Tensor {
            try Tensor(StoredTensor(expected.entry(named: name, dtype: .float32)))
        }
        try ForwardContext.$scoped.withValue(.inference) {
            let questions = try RealSize.ids(expected, "question_ids")
            let context = try #require(model.contextEncoder)
            let generator = try #require(model.generator as? BartGenerator)
            let memory = generator.encode(try RealSize.ids(expected, "context_ids"))
            let targets = try RealSize.ids(expected, "target_ids")
            let states = generator.decode(targets, memory, attending: [[0], [1], [2]])
            let found = [
                ("question_vectors", model.questionEncoder(questions)),
                ("context_vectors", context(questions)),
                ("logits", generator.projection.logits(states)),
            ]
            for (name, value) in found {
                let error = RealSize.error(value, try values(name))
                print("real size, \(format): \(name) differ by \(error) of the largest")
                #expect(error < 1e-3)
            }
        }
    }
}
