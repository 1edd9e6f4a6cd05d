import Foundation
import Testing

@testable import RAGKit

private let pickle = Pickle.dictionary([("x", Pickle.tensor())])

/// A right archive, changed.
private func crafted(
    _ name: String, says: String, _ change: (inout ZipWriter) -> Void
) -> CraftedFile {
    var archive = ZipWriter.torch(pickle)
    change(&archive)
    return CraftedFile(name, archive, says: says)
}

/// The zip64 record and its locator, which say the same as the end record unless told otherwise.
private func wideEnd(
    _ archive: ZipWriter, count: Int? = nil, size: Int? = nil, start: Int? = nil, place: Int? = nil
) -> [UInt8] {
    let whole = archive.bytes()
    let end = whole.count - 22
    let tableSize = Int(whole[end + 12]) | Int(whole[end + 13]) << 8
    let tableStart = end - tableSize
    func wide(_ value: Int) -> [UInt8] { ZipWriter.little(UInt64(value)) }
    let count = count ?? archive.entries.count
    return [0x50, 0x4B, 6, 6] + wide(44) + [45, 0, 45, 0] + [UInt8](repeating: 0, count: 8)
        + wide(count) + wide(count) + wide(size ?? tableSize) + wide(start ?? tableStart)
        + [0x50, 0x4B, 6, 7, 0, 0, 0, 0] + wide(place ?? end) + [1, 0, 0, 0]
}

private let attacks: [CraftedFile] = [
    crafted("deflated", says: "compressed (method 8)") { $0.entries[0].method = 8 },
    crafted("encrypted", says: "encrypted") { $0.entries[0].flags = 1 },
    crafted("declares 40 GB", says: "4000000000 bytes") {
        $0.entries[2].claimedSize = 4_000_000_000
    },
    crafted("declares more than it stores", says: "claims 1000 bytes and stores 24") {
        $0.entries[2].claimedSize = 1000
        $0.entries[2].claimedPacked = 24
    },
    crafted("declares less than its header", says: "another size") {
        $0.entries[2].claimedSize = 20
    },
    crafted("header declares more", says: "another size") { $0.entries[2].localSize = 1000 },
    crafted("header has another name", says: "another story") {
        $0.entries[2].localName = "archive/data/9"
    },
    crafted("overlaps another", says: "'archive/inner' overlaps 'archive/outer'") {
        // The entry's own header lies inside another entry's data.
        let inner = ZipWriter(entries: [ZipWriter.Entry("archive/inner", [1, 2, 3])])
        $0.entries.insert(ZipWriter.Entry("archive/outer", inner.bytes()), at: 0)
        $0.entries.append(inner.entries[0])
        $0.entries[4].offset = 30 + 13
    },
    crafted("header beyond the file", says: "cut off") { $0.entries[2].offset = 0xFFFF_FFF0 },
    crafted("header is none", says: "no header") { $0.entries[2].offset = 3 },
    crafted("name with ..", says: "leads out") {
        $0.entries.append(ZipWriter.Entry("archive/../../etc/passwd", [1]))
    },
    crafted("absolute name", says: "leads out") {
        $0.entries.append(ZipWriter.Entry("/etc/passwd", [1]))
    },
    crafted("name with a backslash", says: "leads out") {
        $0.entries.append(ZipWriter.Entry("archive\\x", [1]))
    },
    crafted("name with NUL", says: "leads out") {
        $0.entries.append(ZipWriter.Entry("archive/\0", [1]))
    },
    crafted("empty name", says: "leads out") { $0.entries.append(ZipWriter.Entry("", [1])) },
    crafted("two entries of one name", says: "'archive/data/0' is there twice") {
        $0.entries.append($0.entries[2])
    },
    crafted("two data.pkl", says: "2 entries data.pkl") {
        $0.entries.append(ZipWriter.Entry("other/data.pkl", pickle))
    },
    crafted("data.pkl at the top", says: "one in one folder") { $0.entries[0].name = "data.pkl" },
    crafted("no data.pkl", says: "0 entries data.pkl") { $0.entries.removeFirst() },
    crafted("another zip", says: "word/document.xml") {
        $0.entries = [ZipWriter.Entry("word/document.xml", [1])]
    },
    crafted("checksum of the pickle", says: "CRC-32") { $0.entries[0].crc = 7 },
    crafted("big endian", says: "'big'") {
        $0.entries[1] = ZipWriter.Entry("archive/byteorder", Array("big".utf8))
    },
    crafted("comment", says: "table of contents") { $0.comment = [1, 2, 3] },
    crafted("count too large", says: "entries") { $0.count = 900 },
    crafted("count too small", says: "follow the last entry") { $0.count = 2 },
    crafted("size of the table too large", says: "does not end") { $0.directorySize = 100_000 },
    crafted("bytes before the end", says: "does not end") { $0.beforeEnd = [1, 2, 3] },
    crafted("descriptor with another size", says: "descriptor") {
        $0.entries[2].flags = 8
        $0.entries[2].descriptor = ZipWriter.descriptor([1, 2, 3])
    },
    crafted("descriptor that is not there", says: "cut off") {
        $0.entries[2].flags = 8
        $0.entries[2].descriptor = []
    },
    crafted("zip64 field missing", says: "cut off") { $0.entries[2].claimedSize = .max },
    crafted("zip64 field of 2^63", says: "a size or place of") {
        $0.entries[2].claimedSize = .max
        $0.entries[2].extra = [1, 0, 16, 0] + [UInt8](repeating: 0xFF, count: 16)
    },
    crafted("zip64 field of 40 GB", says: "a size or place of 40000000000") {
        $0.entries[2].claimedSize = .max
        $0.entries[2].extra =
            [1, 0, 16, 0] + ZipWriter.little(UInt64(40_000_000_000))
            + ZipWriter.little(UInt64(40_000_000_000))
    },
    crafted("zip64 fields that differ", says: "claims 24 bytes and stores 23") {
        $0.entries[2].claimedSize = .max
        $0.entries[2].extra =
            [1, 0, 16, 0] + ZipWriter.little(UInt64(24)) + ZipWriter.little(UInt64(23))
    },
    crafted("extra field cut off", says: "extra field") { $0.entries[2].extra = [1, 0, 99, 0] },
    crafted("zip64 end with another count", says: "do not agree") {
        $0.beforeEnd = wideEnd($0, count: 9)
    },
    crafted("zip64 end with another place", says: "do not agree") {
        $0.beforeEnd = wideEnd($0, start: 1)
    },
    crafted("zip64 end with another size", says: "do not agree") {
        $0.beforeEnd = wideEnd($0, size: 1)
    },
    crafted("zip64 end elsewhere", says: "zip64 record") { $0.beforeEnd = wideEnd($0, place: 4) },
    crafted("zip64 end beyond the file", says: "a size or place of") {
        $0.beforeEnd = wideEnd($0, place: 1 << 40)
    },
]

@Suite(.tags(.files)) struct ZipArchiveTests {
    @Test(arguments: attacks) func refusesAttack(_ file: CraftedFile) throws {
        try file.expectRefused()
    }

    /// What PyTorch writes: descriptors, and zip64 records that say the same again.
    @Test func acceptsTheSameWithoutTheAttack() throws {
        let folder = try TemporaryDirectory()
        var plain = ZipWriter.torch(pickle)
        var wide = plain
        wide.beforeEnd = wideEnd(wide)
        var described = plain
        for index in described.entries.indices { described.entries[index].flags = 0x0808 }
        var extended = plain
        extended.entries[2].claimedSize = .max
        extended.entries[2].extra =
            [9, 9, 2, 0, 5, 5, 1, 0, 16, 0] + ZipWriter.little(UInt64(24))
            + ZipWriter.little(UInt64(24))
        plain.entries[2].crc = 0
        for (index, archive) in [plain, wide, described, extended].enumerated() {
            let url = try folder.write(archive.bytes(), to: "\(index).bin")
            let weights = try ModelWeights(contentsOf: url)
            #expect(try weights.tensor("x").elements == [Float](repeating: 0, count: 6), "\(index)")
        }
    }

    @Test func checksumIsThatOfZip() {
        #expect(ZipWriter.crc(Array("123456789".utf8)) == 0xCBF4_3926)
        #expect(ZipWriter.crc([]) == 0)
    }

    /// Neither a declared size nor a long pickle may cost memory that the file does not have. In a
    /// process of its own, so that memory is this test's.
    @Test func claimsCostNoMemory() async {
        await #expect(processExitsWith: .success) {
            let folder = try TemporaryDirectory()
            func refuse(_ bytes: [UInt8]) throws {
                let url = try folder.write(bytes, to: "a.bin")
                #expect(throws: CheckpointError.self) { _ = try ModelWeights(contentsOf: url) }
            }
            var huge = ZipWriter.torch(pickle)
            huge.entries[2].claimedSize = 4_000_000_000
            let shape = Pickle.tensor(shape: [1 << 40], strides: [0])
            let files = [
                huge.bytes(), ZipWriter.torch(Pickle.dictionary([("x", shape)])).bytes(),
                ZipWriter.torch(Pickle.whole([0x58, 255, 255, 255, 255])).bytes(),
            ]
            try refuse([0x50])  // Whatever is made once is made here.
            let before = peakMemory()
            for bytes in files { try refuse(bytes) }
            #expect(peakMemory() - before < 1 << 21)
        }
    }
}
