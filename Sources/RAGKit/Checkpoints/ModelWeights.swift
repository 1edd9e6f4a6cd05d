public import Foundation

/// The tensors of a checkpoint by name, read when asked for.
///
/// Files are mapped into memory, and Float32 is used in place, so loading costs little time and no
/// second copy.
public struct ModelWeights: Sendable {
    private let entries: [String: StoredTensor]
    /// The names in the order of the file.
    public let names: [String]
    /// The file or folder they come from, for messages.
    public let source: String

    /// The weights of one file: safetensors, or PyTorch's when it ends in `.bin`, `.pt` or `.pth`.
    ///
    /// - Throws: `CheckpointError` or `FileError`.
    public init(contentsOf url: URL) throws {
        self.init(try WeightFiles.tensors(in: url), source: url.path)
    }

    /// The weights of a model directory: `model.safetensors` or `pytorch_model.bin`, whole or in
    /// shards that an index lists.
    ///
    /// - Throws: `CheckpointError.missingFile` that says what is there instead, `.invalidIndex`,
    ///   `.forbidden` for a `.bin` that asks for anything but tensors, and what reading throws.
    public init(directory: URL) throws {
        let (source, tensors) = try WeightFiles.read(directory)
        self.init(tensors, source: source.path)
    }

    private init(_ tensors: [StoredTensor], source: String) {
        names = tensors.map(\.name)
        // Readers refuse a name that is there twice.
        entries = Dictionary(tensors.map { ($0.name, $0) }) { first, _ in first }
        self.source = source
    }

    /// The shape of a tensor; `nil` if there is none of this name.
    public func shape(_ name: String) -> [Int]? { entries[name]?.shape }

    /// The type of a tensor's elements in the file; `nil` if there is none of this name.
    func dtype(_ name: String) -> SafetensorsDType? { entries[name]?.dtype }

    /// The types other than Float32 that floating-point tensors have in the file, such as `bfloat16`:
    /// they are converted when read.
    public var convertedTypes: [String] {
        let found = Set(entries.values.map(\.dtype))
        return [SafetensorsDType.float64, .float16, .bfloat16].filter(found.contains)
            .map { "\($0)" }
    }

    /// A tensor in Float32; Float32 data is used in place, without a copy.
    ///
    /// - Throws: `CheckpointError.missingTensor` or `.wrongType`.
    public func tensor(_ name: String) throws -> Tensor {
        guard let entry = entries[name] else {
            throw CheckpointError.missingTensor(file: source, name: name)
        }
        return try Tensor(entry)
    }

    /// The same tensors under other names; those for which `newName` is nil are left out.
    ///
    /// - Throws: `CheckpointError.invalidTensor` when two names become one.
    public func renamed(_ newName: (String) -> String?) throws -> ModelWeights {
        var seen: [String: String] = [:]
        let tensors = try names.compactMap { name -> StoredTensor? in
            guard let entry = entries[name], let other = newName(name) else { return nil }
            if let first = seen.updateValue(name, forKey: other) {
                throw CheckpointError.invalidTensor(
                    name: name, reason: "it and '\(first)' would both be called '\(other)'")
            }
            return entry.renamed(other)
        }
        return ModelWeights(tensors, source: source)
    }

    /// These tensors and those of another file.
    ///
    /// - Throws: `CheckpointError.invalidTensor` when both have one of the same name.
    func merging(_ other: ModelWeights) throws -> ModelWeights {
        if let name = names.first(where: { other.entries[$0] != nil }) {
            throw CheckpointError.invalidTensor(
                name: name, reason: "it is in '\(source)' and in '\(other.source)'")
        }
        return ModelWeights(
            names.compactMap { entries[$0] } + other.names.compactMap { other.entries[$0] },
            source: source)
    }

    /// Writes the tensors as safetensors, each in the type it has.
    ///
    /// Tensors that are the same window of the file (tied weights in a `.bin`) are written once, under
    /// the first name, as transformers does.
    ///
    /// - Returns: the names left out, each with the one it is tied to.
    /// - Throws: `CheckpointError` or `FileError`.
    @discardableResult
    public func write(to url: URL) throws -> [(name: String, tiedTo: String)] {
        var writer = SafetensorsWriter(metadata: ["format": "pt"], alignment: 64)
        var written: [UnsafeRawPointer?: [StoredTensor]] = [:]
        var tied: [(name: String, tiedTo: String)] = []
        for name in names {
            guard let entry = entries[name] else { continue }
            let place = entry.storage.baseAddress
            if let first = written[place]?.first(where: entry.isSameWindow) {
                tied.append((name, first.name))
                continue
            }
            written[place, default: []].append(entry)
            try writer.add(name, dtype: entry.dtype, shape: entry.shape) { emit in
                try entry.withBytes(emit)
            }
        }
        try writer.write(to: url)
        return tied
    }
}

/// Names that old checkpoints hold and nobody needs.
private func isHarmless(_ name: String) -> Bool {
    name.hasSuffix("embeddings.position_ids") || name.hasSuffix("embeddings.token_type_ids")
        || name.contains("pooler.dense.") || name.hasSuffix("encoder.version")
        || name.hasSuffix("decoder.version")
        || name.hasSuffix(
            "decoder.block.0.layer.1.EncDecAttention.relative_attention_bias.weight")
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
