import Foundation
import RAGKitBLAS

/// The tensors of a checkpoint by name, read when asked for.
public struct ModelWeights: Sendable {
    private let entries: [String: SafetensorsFile.Entry]
    /// The names in the order of the file.
    public let names: [String]
    /// Where they come from, for messages.
    public let source: String

    /// The weights of one safetensors file.
    public init(contentsOf url: URL) throws {
        let file = try SafetensorsFile(contentsOf: url)
        names = file.names
        entries = Dictionary(uniqueKeysWithValues: file.entries.map { ($0.name, $0) })
        source = url.path
    }

    /// The weights of a model directory: its `model.safetensors`.
    ///
    /// - Throws: `CheckpointError.missingFile` that says what is there instead.
    public init(directory: URL) throws {
        let file = directory.appendingPathComponent("model.safetensors")
        guard FileManager.default.fileExists(atPath: file.path) else {
            let pickle = directory.appendingPathComponent("pytorch_model.bin")
            let advice =
                FileManager.default.fileExists(atPath: pickle.path)
                ? "there is a pytorch_model.bin, which cannot be read yet: save it as safetensors"
                : "a model directory holds config.json and model.safetensors"
            throw CheckpointError.missingFile(file: file.path, advice: advice)
        }
        try self.init(contentsOf: file)
    }

    /// The shape of a tensor; `nil` if there is none of this name.
    public func shape(_ name: String) -> [Int]? { entries[name]?.shape }

    /// A tensor in Float32; Float32 data is used in place, without a copy.
    ///
    /// - Throws: `CheckpointError.missingTensor` or `.wrongType`.
    public func tensor(_ name: String) throws -> Tensor {
        guard let entry = entries[name] else {
            throw CheckpointError.missingTensor(file: source, name: name)
        }
        return try Tensor(entry)
    }
}

extension Tensor {
    /// The entry's elements in Float32: in place when they are aligned Float32, else converted.
    ///
    /// - Throws: `CheckpointError.wrongType` for integers.
    init(_ entry: SafetensorsFile.Entry) throws {
        let count = entry.shape.product
        let address = entry.bytes.baseAddress
        let isAligned = Int(bitPattern: address) % MemoryLayout<Float>.alignment == 0
        if entry.dtype == .float32, isAligned, let address, count > 0 {
            let floats = address.bindMemory(to: Float.self, capacity: count)
            let storage = TensorStorage(borrowing: floats, count: count, owner: entry.file)
            self.init(shape: entry.shape, storage: storage)
            return
        }
        switch entry.dtype {
        case .float32:
            self.init((0..<count).map { entry.element($0, as: Float.self) }, shape: entry.shape)
        case .float64:
            self.init(
                (0..<count).map { Float(entry.element($0, as: Double.self)) }, shape: entry.shape)
        case .float16, .bfloat16:
            let halves = (0..<count).map { entry.element($0, as: UInt16.self) }
            let convert =
                entry.dtype == .float16 ? ragkit_from_float16 : ragkit_from_bfloat16
            self.init(shape: entry.shape) { convert(count, halves, $0) }
        default:
            throw CheckpointError.wrongType(
                file: entry.file.path, tensor: entry.name, expected: "floating point",
                found: entry.dtype.rawValue)
        }
    }
}

/// Names that old checkpoints hold and nobody needs.
private func isHarmless(_ name: String) -> Bool {
    name.hasSuffix("embeddings.position_ids") || name.contains(".pooler.dense.")
        || name.hasSuffix("encoder.version") || name.hasSuffix("decoder.version")
}

extension Module {
    /// Fills every parameter and buffer from a checkpoint, by name, in one strict pass.
    ///
    /// A tied parameter may be stored under any of its names. Nothing changes if anything does not
    /// line up.
    ///
    /// - Parameters:
    ///   - prefix: what the checkpoint puts before the module's own names.
    ///   - isOptional: names that may be missing; they are filled by their initialization rule.
    ///   - isIgnored: names in the checkpoint that belong to somebody else.
    /// - Throws: `CheckpointError.doesNotFit` with every name that is missing, unexpected or of
    ///   another shape.
    public func load(
        _ weights: ModelWeights, prefix: String = "",
        optional isOptional: (String) -> Bool = { $0.hasSuffix("final_logits_bias") },
        ignoring isIgnored: (String) -> Bool = { _ in false }
    ) throws {
        let aliases = allNames()
        var (missing, wrongShape): ([String], [String]) = ([], [])
        var values: [(Parameter, Tensor?)] = []
        for (name, parameter) in namedValues() {
            let names = aliases.filter { $0.parameter === parameter }.map { prefix + $0.name }
            guard let found = names.first(where: { weights.shape($0) != nil }) else {
                if !isOptional(name) { missing.append(prefix + name) }
                values.append((parameter, nil))
                continue
            }
            let tensor = try weights.tensor(found)
            if tensor.shape != parameter.shape {
                wrongShape.append("\(found) is \(tensor.shape), expected \(parameter.shape)")
            }
            values.append((parameter, tensor))
        }
        let known = Set(aliases.map { prefix + $0.name })
        let unexpected = weights.names.filter {
            !known.contains($0) && !isHarmless($0) && !isIgnored($0)
        }
        guard missing.isEmpty && unexpected.isEmpty && wrongShape.isEmpty else {
            throw CheckpointError.doesNotFit(
                missing: missing, unexpected: unexpected, wrongShape: wrongShape)
        }
        var unused = SeededGenerator(seed: 0)
        for (parameter, value) in values {
            if let value {
                parameter.update(value)
            } else {
                parameter.initialize(using: &unused)
            }
        }
        namePaths()
    }

    /// Writes every parameter and buffer as Float32 safetensors, each once under its first name.
    ///
    /// - Parameter isIncluded: which names to write.
    public func saveWeights(
        to url: URL, prefix: String = "", where isIncluded: (String) -> Bool = { _ in true }
    ) throws {
        var writer = SafetensorsWriter(metadata: ["format": "pt"], alignment: 64)
        for (name, parameter) in namedValues() where isIncluded(name) {
            let value = parameter.value
            try writer.add(prefix + name, dtype: .float32, shape: value.shape) { emit in
                try value.withUnsafeElements { try emit(UnsafeRawBufferPointer($0)) }
            }
        }
        try writer.write(to: url)
    }
}
