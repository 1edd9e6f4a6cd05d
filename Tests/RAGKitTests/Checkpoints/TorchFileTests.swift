import Foundation
import Testing

@testable import RAGKit

/// Files made by `Fixtures/checkpoints/make_checkpoints.py`.
enum CheckpointFixtures {
    static let folder = URL(fileURLWithPath: #filePath).deletingLastPathComponent()
        .deletingLastPathComponent().appendingPathComponent("Fixtures/checkpoints")

    static func file(_ name: String) -> URL { folder.appendingPathComponent(name) }

    /// Expects every tensor of `weights` to be what Float32 safetensors hold under its name.
    static func expectSame(_ weights: ModelWeights, leavingOut: Set<String> = []) throws {
        let expected = try ModelWeights(contentsOf: file("expected.safetensors"))
        #expect(Set(weights.names) == Set(expected.names).subtracting(leavingOut))
        for name in weights.names {
            expectIdentical(try weights.tensor(name), try expected.tensor(name), name)
        }
    }
}

@Suite(.tags(.files)) struct TorchFileTests {
    @Test(arguments: ["weights.bin", "protocol4.bin"])
    func tensorsOfEveryKind(name: String) throws {
        let weights = try ModelWeights(contentsOf: CheckpointFixtures.file(name))
        try CheckpointFixtures.expectSame(weights)
        #expect(weights.names.first == "plain" && weights.names.last == "double")
        #expect(weights.shape("permuted") == [5, 2, 3])
        #expect(weights.dtype("brain") == .bfloat16)
        #expect(weights.convertedTypes == ["float64", "float16", "bfloat16"])
    }

    @Test func contiguousFloatsAreNotCopied() throws {
        let weights = try ModelWeights(contentsOf: CheckpointFixtures.file("weights.bin"))
        #expect(try !weights.tensor("plain").storage.isWritable)
        #expect(
            try weights.tensor("plain").pointer == weights.tensor("tied").pointer,
            "tied tensors are the same bytes")
        #expect(try weights.tensor("rows").pointer == weights.tensor("plain").pointer + 6)
        #expect(try weights.tensor("transposed").storage.isWritable)
    }

    @Test(arguments: ["sharded-bin", "sharded-safetensors"])
    func shards(folder: String) throws {
        let weights = try ModelWeights(directory: CheckpointFixtures.file(folder))
        try CheckpointFixtures.expectSame(
            weights, leavingOut: ["transposed", "tied", "rows", "column", "every_other"])
    }

    @Test func attributesOfTheDictionaryAreLeftOut() throws {
        let weights = try ModelWeights(contentsOf: CheckpointFixtures.file("with_metadata.bin"))
        #expect(weights.names == ["weight", "bias"])
        #expect(try weights.tensor("weight").elements == [Float](repeating: 0.5, count: 6))
        #expect(try weights.tensor("bias").elements == [-1, -1, -1])
    }

    @Test func checksumsMayBeMissing() throws {
        let weights = try ModelWeights(contentsOf: CheckpointFixtures.file("without_checksums.bin"))
        #expect(try weights.tensor("x").elements == [1, 1])
    }

    @Test func integersAreRefusedByNameWhenAskedFor() throws {
        let weights = try ModelWeights(contentsOf: CheckpointFixtures.file("integers.bin"))
        #expect(try weights.tensor("x").elements == [1, 1])
        #expect(weights.dtype("ids") == .int64)
        let error = #expect(throws: CheckpointError.self) { try weights.tensor("ids") }
        #expect(error?.description.contains("'ids'") == true)
        #expect(error?.description.contains("I64") == true)
    }

    /// What is no dictionary of tensors in a zip says what it looks like, and what to do.
    @Test(arguments: [
        ("legacy.bin", ["before 1.6", "save it"]),
        ("dpr.cp", ["facebookresearch/DPR", "convert_dpr_original_checkpoint"]),
        ("dpr-zip.cp", ["facebookresearch/DPR", "convert_dpr_original_checkpoint"]),
        ("tar.bin", ["tar archive", "unpack"]),
        ("lfs.bin", ["Git LFS pointer", "git lfs pull"]),
        ("training.bin", ["'state_dict' is a dictionary", "training checkpoint"]),
        ("module.bin", ["torch.nn.modules.linear.Linear", "could run code", "state_dict()"]),
    ])
    func foreignFilesSayWhatTheyAre(name: String, words: [String]) {
        let error = #expect(throws: CheckpointError.self) {
            _ = try ModelWeights(contentsOf: CheckpointFixtures.file(name))
        }
        for word in words + [name] {
            #expect(error?.description.contains(word) == true, "\(error.map { "\($0)" } ?? "")")
        }
    }

    @Test func endingsThatAreWrongSaySo() throws {
        let folder = try TemporaryDirectory()
        for (from, to, word) in [
            ("expected.safetensors", "a.bin", "safetensors"),
            ("weights.bin", "b.safetensors", ".bin"),
        ] {
            try FileManager.default.copyItem(
                at: CheckpointFixtures.file(from), to: folder.file(to))
            let error = #expect(throws: CheckpointError.self) {
                _ = try ModelWeights(contentsOf: folder.file(to))
            }
            #expect(error?.description.contains(word) == true)
        }
        try folder.write([], to: "empty.bin")
        #expect(throws: CheckpointError.self) {
            _ = try ModelWeights(contentsOf: folder.file("empty.bin"))
        }
    }

    @Test func refusesEveryTruncation() throws {
        let folder = try TemporaryDirectory()
        let whole = try Data(contentsOf: CheckpointFixtures.file("without_checksums.bin"))
        for count in 0..<whole.count {
            let url = try folder.write(whole.prefix(count), to: "cut.bin")
            #expect(throws: CheckpointError.self, "cut to \(count) bytes") {
                _ = try ModelWeights(contentsOf: url)
            }
        }
    }

    /// Every change of one byte ends in an error or in values inside the file.
    @Test func survivesEveryChangeOfAByte() throws {
        let folder = try TemporaryDirectory()
        let whole = try [UInt8](Data(contentsOf: CheckpointFixtures.file("without_checksums.bin")))
        var refused = 0
        for position in whole.indices {
            for value: UInt8 in [1, 0x80, 0xFF] {
                var changed = whole
                changed[position] ^= value
                let url = try folder.write(changed, to: "changed.bin")
                do {
                    let weights = try ModelWeights(contentsOf: url)
                    for name in weights.names { #expect(try weights.tensor(name).count <= 8) }
                } catch is CheckpointError {
                    refused += 1
                }
            }
        }
        #expect(refused > whole.count)
    }

    /// A safetensors copy holds the same tensors, tied ones once, and needs no conversion.
    @Test func writesSafetensors() throws {
        let folder = try TemporaryDirectory()
        let weights = try ModelWeights(contentsOf: CheckpointFixtures.file("weights.bin"))
        let url = folder.file("a.safetensors")
        let tied = try weights.write(to: url)
        #expect(tied.map(\.name) == ["tied"] && tied.map(\.tiedTo) == ["plain"])
        let written = try ModelWeights(contentsOf: url)
        try CheckpointFixtures.expectSame(written, leavingOut: ["tied"])
        #expect(written.dtype("half_transposed") == .float16 && written.dtype("double") == .float64)
    }

    @Test(.tags(.golden), .enabled(if: ExtraFiles.has("bart/rag-bin", in: ExtraFiles.golden)))
    func binOfTheReferenceEqualsItsSafetensors() throws {
        let folder = try #require(ExtraFiles.golden).appendingPathComponent("bart")
        for part in ["rag", "ctx_encoder"] {
            let bin = try ModelWeights(directory: folder.appendingPathComponent("\(part)-bin"))
            let safe = try ModelWeights(directory: folder.appendingPathComponent("\(part)"))
            #expect(bin.source.hasSuffix(".bin") && safe.source.hasSuffix(".safetensors"))
            #expect(safe.names.count > 30 && Set(bin.names).isSuperset(of: safe.names))
            for name in safe.names {
                expectIdentical(try bin.tensor(name), try safe.tensor(name), name)
            }
        }
        let bin = try RagModel(contentsOf: folder.appendingPathComponent("rag-bin"))
        let safe = try RagModel(contentsOf: folder.appendingPathComponent("rag"))
        try bin.loadContextEncoder(
            from: folder.appendingPathComponent("ctx_encoder-bin"),
            tokenizer: folder.appendingPathComponent("ctx_encoder_tokenizer"))
        try safe.loadContextEncoder(from: folder.appendingPathComponent("ctx_encoder"))
        for (a, b) in zip(bin.namedValues(), safe.namedValues()) {
            #expect(a.name == b.name)
            expectIdentical(a.parameter.value, b.parameter.value, a.name)
        }
    }
}
