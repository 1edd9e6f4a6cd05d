import Foundation

/// A `pytorch_model.bin`: a dictionary of tensors as PyTorch 1.6 and later save it, mapped into memory.
///
/// The file is a zip archive of stored entries: a pickle that describes the tensors, and their
/// elements. Nothing in it is run: see ``Unpickler``. Opening costs time in proportion to the
/// description only.
struct TorchFile {
    /// The tensors in the order of the dictionary.
    let entries: [StoredTensor]
    let file: MappedFile

    /// - Throws: ``CheckpointError`` naming what is wrong, forbidden, or which other kind of file it
    ///   is and what to do with it; or ``FileError``.
    init(contentsOf url: URL, access: MappedFile.Access = .mapped) throws {
        try self.init(.ofWeights(url, access: access))
    }

    init(_ file: MappedFile) throws {
        self.file = file
        guard file.bytes.starts(with: [0x50, 0x4B, 0x03, 0x04]) else {
            let kind = ForeignFile.sentence(for: file.bytes) ?? "it is no zip archive"
            throw CheckpointError.foreign(file: file.path, expected: "PyTorch's zip", kind)
        }
        let archive = try ZipArchive(file)
        let folder = try TorchFile.folder(of: archive, file.path)
        try TorchFile.checkByteOrder(archive, folder, file.path)
        entries = try TorchFile.tensors(archive, folder, file)
    }

    /// The one folder of the archive, which holds `data.pkl`.
    private static func folder(of archive: ZipArchive, _ path: String) throws -> String {
        let pickles = archive.entries.filter { $0.name.split(separator: "/").last == "data.pkl" }
        guard pickles.count == 1, pickles[0].name.split(separator: "/").count == 2 else {
            let names = archive.entries.prefix(5).map(\.name).joined(separator: ", ")
            throw CheckpointError.foreign(
                file: path, expected: "PyTorch's zip",
                "it has \(pickles.count) entries data.pkl where there should be one in one folder; "
                    + "its entries are \(names.isEmpty ? "none" : names)")
        }
        return String(pickles[0].name.dropLast("data.pkl".count))
    }

    /// Elements are taken as they are, so they must be as this machine has them.
    private static func checkByteOrder(
        _ archive: ZipArchive, _ folder: String, _ path: String
    ) throws {
        guard let entry = archive[folder + "byteorder"] else { return }  // before PyTorch 2.1
        try archive.checkSum(of: entry)
        let order = String(decoding: archive.bytes(of: entry).prefix(16), as: UTF8.self)
        guard order == "little" else {
            throw CheckpointError.malformed(
                file: path, offset: entry.data.lowerBound,
                reason: "the byte order is '\(order)', expected 'little'")
        }
    }

    private static func tensors(
        _ archive: ZipArchive, _ folder: String, _ file: MappedFile
    ) throws -> [StoredTensor] {
        guard let pickle = archive[folder + "data.pkl"] else { return [] }
        try archive.checkSum(of: pickle)
        var reader = Unpickler(
            archive.bytes(of: pickle), file: file.path, base: pickle.data.lowerBound)
        let root = try reader.run()
        let objects = reader.objects
        func malformed(_ reason: String) -> CheckpointError {
            .malformed(file: file.path, offset: pickle.data.lowerBound, reason: reason)
        }
        guard case .dictionary(let index) = root else {
            throw malformed("it holds \(root.kind), not a dictionary of tensors")
        }
        let storages = try objects.storages.map { storage in
            try bytes(of: storage, in: archive, folder, malformed)
        }
        try checkTypes(objects.storages, malformed)
        var seen = Set<String>()
        return try objects.dictionaries[index].map { key, value in
            guard let name = objects.text(key) else {
                throw malformed("a tensor is named by \(key.kind), not by a text")
            }
            guard name != "model_dict" else {
                throw CheckpointError.foreign(
                    file: file.path, expected: "a dictionary of tensors", ForeignFile.originalDPR)
            }
            guard case .tensor(let number) = value else {
                throw malformed(
                    "'\(name)' is \(value.kind), not a tensor: if this is a training checkpoint, "
                        + "save the model's state_dict() alone")
            }
            guard seen.insert(name).inserted else { throw malformed("'\(name)' is there twice") }
            let view = objects.tensors[number]
            return StoredTensor(
                name: name, dtype: objects.storages[view.storage].type, shape: view.shape,
                strides: view.isContiguous ? nil : view.strides, offset: view.offset,
                storage: storages[view.storage], file: file)
        }
    }

    private static func bytes(
        of storage: PickleObjects.Storage, in archive: ZipArchive, _ folder: String,
        _ malformed: (String) -> CheckpointError
    ) throws -> UnsafeRawBufferPointer {
        guard let entry = archive["\(folder)data/\(storage.key)"] else {
            throw malformed("there is no entry 'data/\(storage.key)' for a tensor's elements")
        }
        guard storage.type.byteCount(shape: [storage.count]) == entry.data.count else {
            throw malformed(
                "entry '\(entry.name)' has \(entry.data.count) bytes, but is declared to hold "
                    + "\(storage.count) elements of type \(storage.type.rawValue)")
        }
        return archive.bytes(of: entry)
    }

    /// One entry has one type: PyTorch refuses to save anything else.
    private static func checkTypes(
        _ storages: [PickleObjects.Storage], _ malformed: (String) -> CheckpointError
    ) throws {
        var types: [String: SafetensorsDType] = [:]
        for storage in storages {
            guard
                (types.updateValue(storage.type, forKey: storage.key) ?? storage.type)
                    == storage.type
            else { throw malformed("entry 'data/\(storage.key)' has two types of elements") }
        }
    }
}

/// Tells what a file is that was expected to hold weights.
enum ForeignFile {
    /// A sentence about the kind of the file and what to do; nil if it looks like nothing known.
    static func sentence(for bytes: UnsafeRawBufferPointer) -> String? {
        if bytes.starts(with: "version https://git-lfs".utf8) {
            return "it looks like a Git LFS pointer, not the weights themselves: fetch them with "
                + "'git lfs pull'"
        }
        if bytes.starts(with: "<!".utf8) || bytes.starts(with: "<html".utf8) {
            return "it looks like a web page: the download went wrong"
        }
        if bytes.starts(with: [0x50, 0x4B, 0x03, 0x04]) {
            return "it looks like a zip archive, as PyTorch writes: give it the ending .bin"
        }
        if bytes.first == 0x80 { return pickle(bytes) }
        if bytes.count >= 262, bytes[257..<262].elementsEqual("ustar".utf8) {
            return "it looks like a tar archive: unpack it if it holds a model; if it is a file of "
                + "PyTorch before 0.1.10, save it again with a newer PyTorch"
        }
        if bytes.starts(with: [0x1F, 0x8B]) {
            return "it looks like a gzip archive: unpack it first"
        }
        if bytes.starts(with: [0x89, 0x48, 0x44, 0x46]) {
            return "it looks like HDF5, as TensorFlow writes: load it with transformers "
                + "(from_tf=True) and save it again"
        }
        if bytes.count >= 9, bytes[8] == UInt8(ascii: "{") {
            return "it looks like safetensors: give it the ending .safetensors"
        }
        return nil
    }

    static let originalDPR =
        "it looks like a checkpoint of facebookresearch/DPR (.cp): convert it with transformers' "
        + "convert_dpr_original_checkpoint_to_pytorch.py, or take the converted model of the same name"

    /// A pickle that no archive surrounds: PyTorch before 1.6.
    private static func pickle(_ bytes: UnsafeRawBufferPointer) -> String {
        // The classes' names lie among the first few thousand bytes, as plain text.
        let head = String(decoding: bytes.prefix(1 << 16), as: UTF8.self)
        let magic: [UInt8] = [0x8A, 0x0A, 0x6C, 0xFC, 0x9C, 0x46, 0xF9, 0x20]
        if head.contains("model_dict"), head.contains("question_model.") { return originalDPR }
        if bytes.dropFirst(2).starts(with: magic) {
            return "it looks like a file of PyTorch before 1.6 (no zip archive): load and save it "
                + "again with a newer PyTorch or transformers, as safetensors if you can"
        }
        return "it looks like a bare pickle, which is not read: save the model as safetensors"
    }
}
