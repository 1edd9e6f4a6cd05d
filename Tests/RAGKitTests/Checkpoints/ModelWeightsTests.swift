import Foundation
import Testing

@testable import RAGKit

/// Two layers, one of them used twice under two names.
private final class TwoLayers: Module {
    @ModuleInfo(key: "first") var first: Linear
    @ModuleInfo(key: "second") var second: Linear
    @ModuleInfo(key: "head") var head: Embedding

    override init() {
        super.init()
        first = Linear(2, 3)
        second = Linear(3, 1)
        head = Embedding(tying: first.weight)
    }
}

/// Writes Float32 tensors as safetensors, or with other types and bytes.
enum WeightWriter {
    static func write(_ tensors: [(name: String, value: Tensor)], to url: URL) throws {
        var writer = SafetensorsWriter(metadata: ["format": "pt"])
        for (name, value) in tensors {
            try writer.add(name, dtype: .float32, shape: value.shape, values: value.elements)
        }
        try writer.write(to: url)
    }

    /// The values of a module under other names; those for which `name` is nil are left out.
    static func write(
        _ module: Module, to url: URL, extra: [(name: String, value: Tensor)] = [],
        name newName: (String) -> String? = { $0 }
    ) throws {
        let tensors = module.namedValues().compactMap { name, parameter in
            newName(name).map { (name: $0, value: parameter.value) }
        }
        try write(tensors + extra, to: url)
    }
}

@Suite(.tags(.files)) struct ModelWeightsTests {
    private static func model(seed: UInt64 = 3) -> TwoLayers {
        let model = TwoLayers()
        model.randomize(seed: seed)
        return model
    }

    // MARK: Types

    @Test(arguments: SafetensorsDType.allCases) func everyTypeConvertsOrIsRefused(
        dtype: SafetensorsDType
    ) throws {
        let folder = try TemporaryDirectory()
        let numbers: [Float] = [1, -2.5, 0, 0.15625, -0, 65504]
        var bytes: [UInt8] = []
        for number in numbers {
            switch dtype {
            case .float64: bytes += ZipWriter.little(Double(number).bitPattern)
            case .float32: bytes += ZipWriter.little(number.bitPattern)
            case .float16: bytes += ZipWriter.little(Float16(number).bitPattern)
            case .bfloat16: bytes += ZipWriter.little(UInt16(number.bitPattern >> 16))
            default: bytes += [UInt8](repeating: 1, count: dtype.byteCount)
            }
        }
        var writer = SafetensorsWriter()
        // A byte before it, so that nothing is aligned.
        try writer.add("odd", dtype: .uint8, shape: [1], values: [1] as [UInt8])
        let content = bytes
        try writer.add("x", dtype: dtype, shape: [2, 3]) { emit in
            try content.withUnsafeBytes { try emit($0) }
        }
        let url = folder.file("a.safetensors")
        try writer.write(to: url)
        let weights = try ModelWeights(contentsOf: url)
        #expect(weights.dtype("x") == dtype)
        let isFloat = [.float64, .float32, .float16, .bfloat16].contains(dtype)
        guard isFloat else {
            let error = #expect(throws: CheckpointError.self) { try weights.tensor("x") }
            #expect(error?.description.contains("'x'") == true)
            #expect(error?.description.contains(dtype.rawValue) == true)
            return
        }
        #expect(weights.convertedTypes == (dtype == .float32 ? [] : ["\(dtype)"]))
        let expected = dtype == .bfloat16 ? Array(numbers.dropLast()) + [65280] : numbers
        expectIdentical(try weights.tensor("x"), Tensor(expected, shape: [2, 3]))
    }

    // MARK: Loading

    @Test func missingTensorsAreAllNamedAndNothingIsLoaded() throws {
        let folder = try TemporaryDirectory()
        let url = folder.file("a.safetensors")
        let lost: Set<String> = ["first.bias", "second.weight", "second.bias"]
        try WeightWriter.write(Self.model(seed: 4), to: url) { lost.contains($0) ? nil : $0 }
        let model = Self.model()
        let before = model.namedValues().map(\.parameter.value)
        let error = #expect(throws: CheckpointError.self) {
            try model.load(ModelWeights(contentsOf: url))
        }
        guard case .doesNotFit(let missing, let unexpected, let wrongShape)? = error else {
            Issue.record("\(error.map { "\($0)" } ?? "none")")
            return
        }
        #expect(Set(missing) == lost && unexpected.isEmpty && wrongShape.isEmpty)
        for (value, parameter) in zip(before, model.namedValues()) {
            expectIdentical(parameter.parameter.value, value, parameter.name)
        }
    }

    @Test func unexpectedTensorsAreNamedButForHarmlessOnes() throws {
        let folder = try TemporaryDirectory()
        let url = folder.file("a.safetensors")
        let one = Tensor([1], shape: [1])
        let harmless = [
            "bert.embeddings.position_ids", "x.embeddings.token_type_ids", "pooler.dense.weight",
            "x.pooler.dense.bias", "model.encoder.version", "model.decoder.version",
            "decoder.block.0.layer.1.EncDecAttention.relative_attention_bias.weight",
        ]
        try WeightWriter.write(Self.model(), to: url, extra: harmless.map { ($0, one) })
        let model = Self.model(seed: 9)
        try model.load(ModelWeights(contentsOf: url))
        expectIdentical(model.second.weight.value, Self.model().second.weight.value)

        try WeightWriter.write(
            Self.model(), to: url, extra: (harmless + ["extra.one", "extra.two"]).map { ($0, one) })
        let error = #expect(throws: CheckpointError.self) {
            try model.load(ModelWeights(contentsOf: url))
        }
        #expect(
            error
                == .doesNotFit(missing: [], unexpected: ["extra.one", "extra.two"], wrongShape: []))
        try model.load(ModelWeights(contentsOf: url), ignoring: { $0.hasPrefix("extra.") })
    }

    @Test func wrongShapesAreNamedWithBoth() throws {
        let folder = try TemporaryDirectory()
        let url = folder.file("a.safetensors")
        try WeightWriter.write(
            Self.model(), to: url, extra: [("second.bias", .zeros([4]))]
        ) { $0 == "second.bias" ? nil : $0 }
        let error = #expect(throws: CheckpointError.self) {
            try Self.model().load(ModelWeights(contentsOf: url))
        }
        #expect(
            error?.description == """
                the checkpoint does not fit the model
                  wrong shape (1): second.bias is [4], expected [1]
                  another first size of an embedding is another vocabulary: was it resized? \
                Other sizes: the configuration is that of another model
                """)
    }

    /// Tied weights may be stored under either name, or both; they are saved once.
    @Test func tiedWeightsStoredOnceOrTwice() throws {
        let folder = try TemporaryDirectory()
        let url = folder.file("a.safetensors")
        let source = Self.model()
        for names in [["first.weight"], ["head.weight"], ["first.weight", "head.weight"]] {
            try WeightWriter.write(
                source, to: url, extra: names.map { ($0, source.first.weight.value) }
            ) { $0 == "first.weight" ? nil : $0 }
            let model = Self.model(seed: 8)
            try model.load(ModelWeights(contentsOf: url))
            expectIdentical(model.head.weight.value, source.first.weight.value, "\(names)")
            #expect(model.head.weight === model.first.weight)
        }
        try source.saveWeights(to: url)
        let names = try ModelWeights(contentsOf: url).names
        #expect(names == ["first.weight", "first.bias", "second.weight", "second.bias"])
    }

    // MARK: Files that change

    @Test(arguments: ["model.safetensors", "pytorch_model.bin"])
    func replacedFilesDoNotDisturb(name: String) throws {
        let folder = try TemporaryDirectory()
        let url = folder.file(name)
        let isBin = name.hasSuffix("bin")
        let from = CheckpointFixtures.file(isBin ? "weights.bin" : "expected.safetensors")
        try FileManager.default.copyItem(at: from, to: url)
        let weights = try ModelWeights(directory: folder.url)
        let plain = try weights.tensor("plain")
        let before = plain.elements
        try AtomicFile.write([1, 2, 3], to: url)
        #expect(plain.elements == before)
        try CheckpointFixtures.expectSame(weights)
        try FileManager.default.removeItem(at: url)
        #expect(try weights.tensor("plain").elements == before)
    }

    #if os(Linux)
        /// Weights that were replaced do not count as memory of the process while others of their file
        /// are in use, and can be read again.
        @Test func replacedWeightsLetTheirPagesGo() async {
            await #expect(processExitsWith: .success) {
                let folder = try TemporaryDirectory()
                let url = folder.file("model.safetensors")
                let count = 8 << 20
                var writer = SafetensorsWriter()
                for name in ["large", "small"] {
                    let value = Tensor.full([name == "large" ? count : 4], 3)
                    try writer.add(name, dtype: .float32, shape: value.shape) { emit in
                        try value.withUnsafeElements { try emit(UnsafeRawBufferPointer($0)) }
                    }
                }
                try writer.write(to: url)
                func filePages() throws -> Int {
                    let status = try String(contentsOfFile: "/proc/self/status", encoding: .utf8)
                    let line = try #require(
                        status.split(separator: "\n").first { $0.hasPrefix("RssFile:") })
                    return try #require(
                        line.split(separator: " ").dropFirst().first.flatMap { Int($0) })
                }
                let weights = try ModelWeights(directory: folder.url)
                let small = try weights.tensor("small")
                let before = try filePages()
                let parameter = Parameter([count], .zeros)
                parameter.update(try weights.tensor("large"))
                #expect(parameter.value.sum().item() == Float(3 * count))
                #expect(try filePages() > before + 30_000, "kB of the file were read")
                parameter.update { $0[0] = 5 }
                #expect(try filePages() < before + 2_000)
                #expect(
                    parameter.value.elements.prefix(2) == [5, 3] && small.elements == [3, 3, 3, 3])
                #expect(try weights.tensor("large").sum().item() == Float(3 * count))
            }
        }
    #endif

    @Test func savedOverTheFileJustLoaded() throws {
        let folder = try TemporaryDirectory()
        let url = folder.file("model.safetensors")
        let source = Self.model()
        try source.saveWeights(to: url)
        let model = Self.model(seed: 8)
        try model.load(ModelWeights(directory: folder.url))
        #expect(!model.first.weight.value.storage.isWritable, "the values are those of the file")
        try model.saveWeights(to: url)
        let again = Self.model(seed: 9)
        try again.load(ModelWeights(directory: folder.url))
        for (a, b) in zip(again.namedValues(), source.namedValues()) {
            expectIdentical(a.parameter.value, b.parameter.value, a.name)
        }
        #expect(try folder.names() == ["model.safetensors"])
    }

    // MARK: Directories

    @Test func safetensorsComeFirst() throws {
        let folder = try TemporaryDirectory()
        try FileManager.default.copyItem(
            at: CheckpointFixtures.file("weights.bin"), to: folder.file("pytorch_model.bin"))
        #expect(try ModelWeights(directory: folder.url).source.hasSuffix("pytorch_model.bin"))
        try WeightWriter.write(
            [("x", Tensor([1], shape: [1]))], to: folder.file("model.safetensors"))
        #expect(try ModelWeights(directory: folder.url).names == ["x"])
    }

    /// A damaged file is an error, also when another would do.
    @Test func nothingElseIsReadInPlaceOfADamagedFile() throws {
        let folder = try TemporaryDirectory()
        try FileManager.default.copyItem(
            at: CheckpointFixtures.file("weights.bin"), to: folder.file("pytorch_model.bin"))
        try folder.write([1, 2, 3], to: "model.safetensors")
        #expect(throws: CheckpointError.self) { _ = try ModelWeights(directory: folder.url) }
    }

    @Test(
        arguments: [
            (nil, "config.json and model.safetensors or pytorch_model.bin"),
            ("tf_model.h5", "from_tf=True"), ("flax_model.msgpack", "from_flax=True"),
            ("weights.safetensors", "there is a weights.safetensors"),
            ("dpr.cp", "there is a dpr.cp"),
        ] as [(String?, String)])
    func directoriesWithoutWeightsSayWhatIsThere(file: String?, says: String) throws {
        let folder = try TemporaryDirectory()
        if let file { try folder.write([1], to: file) }
        let error = #expect(throws: CheckpointError.self) {
            _ = try ModelWeights(directory: folder.url)
        }
        #expect(error?.description.contains(says) == true, "\(error.map { "\($0)" } ?? "")")
    }

    @Test func namesThatBecomeOneAreRefused() throws {
        let weights = try ModelWeights(contentsOf: CheckpointFixtures.file("expected.safetensors"))
        let error = #expect(throws: CheckpointError.self) { _ = try weights.renamed { _ in "x" } }
        #expect(error?.description.contains("would both be called 'x'") == true)
        #expect(try weights.renamed { $0 == "plain" ? "y" : nil }.names == ["y"])
    }
}
