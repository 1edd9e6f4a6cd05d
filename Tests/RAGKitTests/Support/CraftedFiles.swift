import Foundation

@testable import RAGKit

/// Writes zip archives of stored entries, with every field open to lies.
struct ZipWriter {
    struct Entry {
        var name: String
        var data: [UInt8]
        var method: UInt16 = 0
        var flags: UInt16 = 0
        /// What the records say; nil for the truth.
        var claimedSize: UInt32?
        var claimedPacked: UInt32?
        var localSize: UInt32?
        var localName: String?
        var crc: UInt32?
        var offset: UInt32?
        var extra: [UInt8] = []
        /// What stands behind the data when `flags` has bit 3.
        var descriptor: [UInt8]?

        init(_ name: String, _ data: [UInt8]) {
            self.name = name
            self.data = data
        }
    }

    var entries: [Entry]
    var count: UInt16?
    var directorySize: UInt32?
    var comment: [UInt8] = []
    /// Put between the table of contents and the end record.
    var beforeEnd: [UInt8] = []

    static func little<Value: FixedWidthInteger>(_ value: Value) -> [UInt8] {
        withUnsafeBytes(of: value.littleEndian) { Array($0) }
    }

    static func crc(_ data: [UInt8]) -> UInt32 { data.withUnsafeBytes { CRC32.checksum(of: $0) } }

    static func descriptor(_ data: [UInt8]) -> [UInt8] {
        let size = little(UInt32(data.count))
        return [0x50, 0x4B, 7, 8] + little(crc(data)) + size + size
    }

    func bytes() -> [UInt8] {
        typealias Z = ZipWriter
        var file: [UInt8] = []
        var table: [UInt8] = []
        for entry in entries {
            let place = UInt32(file.count)
            let size = UInt32(entry.data.count)
            let crc = entry.crc ?? Z.crc(entry.data)
            let hasDescriptor = entry.flags & 8 != 0
            let local = Array((entry.localName ?? entry.name).utf8)
            let localSize = entry.localSize ?? (hasDescriptor ? 0 : size)
            file += [0x50, 0x4B, 3, 4] + Z.little(UInt16(20)) + Z.little(entry.flags)
            file += Z.little(entry.method) + [0, 0, 0, 0] + Z.little(hasDescriptor ? 0 : crc)
            file += Z.little(localSize) + Z.little(localSize)
            file += Z.little(UInt16(local.count)) + [0, 0] + local + entry.data
            if hasDescriptor { file += entry.descriptor ?? Z.descriptor(entry.data) }
            table += [0x50, 0x4B, 1, 2, 20, 0, 20, 0] + Z.little(entry.flags)
            table += Z.little(entry.method) + [0, 0, 0, 0] + Z.little(crc)
            table += Z.little(entry.claimedPacked ?? entry.claimedSize ?? size)
            table += Z.little(entry.claimedSize ?? size)
            table += Z.little(UInt16(entry.name.utf8.count)) + Z.little(UInt16(entry.extra.count))
            table += [UInt8](repeating: 0, count: 10) + Z.little(entry.offset ?? place)
            table += Array(entry.name.utf8) + entry.extra
        }
        let count = self.count ?? UInt16(entries.count)
        let end =
            [0x50, 0x4B, 5, 6, 0, 0, 0, 0] + Z.little(count) + Z.little(count)
            + Z.little(directorySize ?? UInt32(table.count)) + Z.little(UInt32(file.count))
            + Z.little(UInt16(comment.count)) + comment
        return file + table + beforeEnd + end
    }

    /// A file of PyTorch with this pickle and these elements.
    static func torch(
        _ pickle: [UInt8], data: [[UInt8]] = [[UInt8](repeating: 0, count: 24)]
    ) -> ZipWriter {
        var entries = [
            Entry("archive/data.pkl", pickle), Entry("archive/byteorder", Array("little".utf8)),
        ]
        entries += data.enumerated().map { Entry("archive/data/\($0)", $1) }
        return ZipWriter(entries: entries)
    }
}

/// Assembles pickles instruction by instruction.
enum Pickle {
    static func op(_ letter: Character) -> [UInt8] { Array(String(letter).utf8) }
    static func text(_ text: String) -> [UInt8] {
        op("X") + ZipWriter.little(UInt32(text.utf8.count)) + Array(text.utf8)
    }
    static func global(_ module: String, _ name: String) -> [UInt8] {
        Array("c\(module)\n\(name)\n".utf8)
    }
    static func int(_ value: Int) -> [UInt8] {
        if let small = Int32(exactly: value) { return op("J") + ZipWriter.little(small) }
        return [0x8A, 8] + ZipWriter.little(Int64(value))
    }
    static func tuple(_ items: [[UInt8]]) -> [UInt8] { op("(") + items.flatMap { $0 } + op("t") }

    static func storage(
        type: String = "FloatStorage", key: String = "0", count: Int = 6
    ) -> [UInt8] {
        tuple([text("storage"), global("torch", type), text(key), text("cpu"), int(count)])
            + op("Q")
    }

    static let hooks = global("collections", "OrderedDict") + op(")") + op("R")

    static func tensor(
        storage: [UInt8] = Pickle.storage(), offset: Int = 0, shape: [Int] = [2, 3],
        strides: [Int] = [3, 1]
    ) -> [UInt8] {
        let arguments = [
            storage, int(offset), tuple(shape.map(int)), tuple(strides.map(int)), [0x89], hooks,
        ]
        return global("torch._utils", "_rebuild_tensor_v2") + tuple(arguments) + op("R")
    }

    /// A whole pickle of one dictionary.
    static func dictionary(_ pairs: [(String, [UInt8])], protocol version: UInt8 = 2) -> [UInt8] {
        whole(op("}") + op("(") + pairs.flatMap { text($0) + $1 } + op("u"), protocol: version)
    }

    static func whole(_ body: [UInt8], protocol version: UInt8 = 2) -> [UInt8] {
        [0x80, version] + body + op(".")
    }
}
