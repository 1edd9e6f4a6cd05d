import Foundation

extension MappedFile {
    /// A file of weights; one that is not there is an error that says what to do.
    static func ofWeights(_ url: URL, access: Access) throws -> MappedFile {
        do {
            return try MappedFile(contentsOf: url, access: access)
        } catch let error as FileError where error.isMissing {
            throw CheckpointError.missingFile(
                file: url.path, advice: "check the path, or download the file")
        }
    }
}

/// Finds the files that hold a model directory's weights.
enum WeightFiles {
    static let safetensors = "model.safetensors"
    static let pickle = "pytorch_model.bin"

    /// Every tensor of the directory's weights, and the file that speaks for all of them.
    ///
    /// The first that exists of `model.safetensors`, its index of shards, `pytorch_model.bin` and its
    /// index, is read; never anything else in its place.
    static func read(_ directory: URL) throws -> (source: URL, tensors: [StoredTensor]) {
        for name in [safetensors, pickle] {
            let whole = directory.appendingPathComponent(name)
            if FileManager.default.fileExists(atPath: whole.path) {
                return (whole, try tensors(in: whole))
            }
            let index = directory.appendingPathComponent(name + ".index.json")
            if FileManager.default.fileExists(atPath: index.path) {
                return (index, try shards(index, in: directory))
            }
        }
        throw CheckpointError.missingFile(
            file: directory.appendingPathComponent(safetensors).path, advice: advice(directory))
    }

    /// The tensors of one file, by its ending; a file of another kind says so itself.
    static func tensors(in url: URL) throws -> [StoredTensor] {
        let isPickle = ["bin", "pt", "pth", "cp", "ckpt"].contains(url.pathExtension.lowercased())
        return isPickle
            ? try TorchFile(contentsOf: url).entries
            : try SafetensorsFile(contentsOf: url).entries.map { StoredTensor($0) }
    }

    /// Advice for a directory that has none of the files.
    private static func advice(_ directory: URL) -> String {
        let names = (try? DirectoryListing.names(in: directory.path)) ?? []
        let others = [
            ("tf_model.h5", "TensorFlow's", "from_tf=True"),
            ("flax_model.msgpack", "Flax's", "from_flax=True"),
        ]
        for (name, owner, option) in others where names.contains(name) {
            return "there is a \(name), \(owner): load it with transformers (\(option)) and save it"
        }
        for ending in ["safetensors", "bin", "cp", "ckpt", "pt"] {
            if let name = names.first(where: { $0.hasSuffix(".\(ending)") }) {
                return "there is a \(name); the weights of a model directory are in "
                    + "\(safetensors) or \(pickle)"
            }
        }
        return "a model directory holds config.json and \(safetensors) or \(pickle)"
    }

    // MARK: - Shards

    /// The tensors of all files that an index names, each where the index says.
    private static func shards(_ index: URL, in directory: URL) throws -> [StoredTensor] {
        func invalid(_ reason: String) -> CheckpointError {
            .invalidIndex(file: index.path, reason: reason)
        }
        let json = try JSONValue(contentsOf: index, dialect: .strict)
        guard let map = try json.object("weight_map"), map.count > 0 else {
            throw invalid("it has no weight_map")
        }
        var wanted: [String: String] = [:]
        var files: [String] = []
        for (name, value) in map {
            guard let file = value.stringValue else {
                throw invalid("'\(name)' is said to lie in \(value.summary), expected a file name")
            }
            wanted[name] = file
            if !files.contains(file) { files.append(file) }
        }
        var owner: [String: String] = [:]
        var all: [StoredTensor] = []
        for file in files {
            let url = directory.appendingPathComponent(file)
            try checkShard(file, url, invalid)
            for tensor in try tensors(in: url) {
                if let other = owner.updateValue(file, forKey: tensor.name) {
                    throw invalid("'\(tensor.name)' lies in two files, \(other) and \(file)")
                }
                all.append(tensor)
            }
        }
        let lost = map.keys.filter { owner[$0] != wanted[$0] }
        guard lost.isEmpty else {
            let shown = lost.prefix(10).map { "'\($0)' in \(wanted[$0] ?? "")" }
            throw invalid(
                "\(lost.count) tensors are not where it says: \(shown.joined(separator: ", "))")
        }
        return all
    }

    /// A shard is a plain file of the directory: an index must not reach anywhere else.
    private static func checkShard(
        _ name: String, _ url: URL, _ invalid: (String) -> CheckpointError
    ) throws {
        let isPlain =
            !name.isEmpty && !name.hasPrefix(".")
            && !name.unicodeScalars.contains { $0 == "/" || $0 == "\\" || $0.value < 0x20 }
        guard isPlain else {
            throw invalid("\(JSONValue.quoted(name)) is no name of a file in the directory")
        }
        var status = stat()
        guard lstat(url.path, &status) == 0 else {
            throw CheckpointError.missingFile(
                file: url.path, advice: "the index names it: download all shards")
        }
        guard status.st_mode & S_IFMT != S_IFLNK else {
            throw invalid(
                "'\(name)' is a symbolic link, which may lead out of the directory: copy the "
                    + "files themselves here (cp -L)")
        }
        guard url.pathExtension == "safetensors" || url.pathExtension == "bin" else {
            throw invalid("'\(name)' is neither a .safetensors nor a .bin file")
        }
    }
}
