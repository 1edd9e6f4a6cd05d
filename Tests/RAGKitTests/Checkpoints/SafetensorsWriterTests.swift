import Foundation
import Testing

@testable import RAGKit

@Suite(.tags(.files)) struct SafetensorsWriterTests {
    @Test func writesWhatItReads() throws {
        let folder = try TemporaryDirectory()
        let url = folder.file("a.safetensors")
        let floats: [Float] = [1, -0.0, .nan, .infinity, 5, 6]
        var writer = SafetensorsWriter(metadata: ["b": "ä\"\n", "a": "1"])
        try writer.add("tensor \"x\" ☃", dtype: .float32, shape: [2, 3], values: floats)
        try writer.add("empty", dtype: .int64, shape: [0, 4], values: [] as [Int64])
        try writer.add("number", dtype: .bfloat16, shape: [], values: [0x3F80] as [UInt16])
        try writer.add("parts", dtype: .uint8, shape: [6]) { emit in
            for part in [[1, 2], [], [3, 4, 5, 6]] as [[UInt8]] {
                try part.withUnsafeBytes { try emit($0) }
            }
        }
        try writer.write(to: url)

        let file = try SafetensorsFile(contentsOf: url)
        #expect(file.names == ["tensor \"x\" ☃", "empty", "number", "parts"])
        #expect(file.metadata == ["b": "ä\"\n", "a": "1"])
        let entry = try file.entry(named: "tensor \"x\" ☃", dtype: .float32)
        #expect(entry.shape == [2, 3])
        for index in floats.indices {
            #expect(entry.element(index, as: UInt32.self) == floats[index].bitPattern, "\(index)")
        }
        #expect(file.entry(named: "parts").map { Array($0.bytes) } == [1, 2, 3, 4, 5, 6])
        #expect(try folder.names() == ["a.safetensors"])
    }

    @Test(arguments: [8, 16, 64, 4096])
    func alignsTheData(alignment: Int) throws {
        let folder = try TemporaryDirectory()
        let url = folder.file("a.safetensors")
        for length in 1..<40 {
            var writer = SafetensorsWriter(alignment: alignment)
            let name = String(repeating: "n", count: length)
            try writer.add(name, dtype: .uint8, shape: [1], values: [7] as [UInt8])
            try writer.write(to: url)
            let entry = try SafetensorsFile(contentsOf: url).entry(named: name, dtype: .uint8)
            #expect(Int(bitPattern: entry.bytes.baseAddress) % alignment == 0)
            #expect(entry.bytes[0] == 7)
        }
    }

    @Test func writesTheSameBytesEachTime() throws {
        let folder = try TemporaryDirectory()
        let metadata = Dictionary(uniqueKeysWithValues: (0..<50).map { ("k\($0)", "v") })
        for name in ["a", "b"] {
            var writer = SafetensorsWriter(metadata: metadata)
            try writer.add("x", dtype: .uint8, shape: [2], values: [1, 2] as [UInt8])
            try writer.write(to: folder.file(name))
        }
        #expect(try Data(contentsOf: folder.file("a")) == Data(contentsOf: folder.file("b")))
    }

    @Test(arguments: [0, 3, 5])
    func refusesTheWrongNumberOfBytes(count: Int) throws {
        let folder = try TemporaryDirectory()
        let url = try folder.write([1, 2, 3], to: "a.safetensors")
        var writer = SafetensorsWriter()
        try writer.add("x", dtype: .uint8, shape: [4]) { emit in
            try [UInt8](repeating: 0, count: count).withUnsafeBytes { try emit($0) }
        }
        #expect(throws: CheckpointError.wrongByteCount(tensor: "x", expected: 4, found: count)) {
            try writer.write(to: url)
        }
        #expect(try Array(Data(contentsOf: url)) == [1, 2, 3])
        #expect(try folder.names() == ["a.safetensors"])
    }

    @Test func refusesBadTensors() throws {
        var writer = SafetensorsWriter()
        try writer.add("x", dtype: .uint8, shape: [1], values: [1] as [UInt8])
        #expect(throws: CheckpointError.self) {
            try writer.add("x", dtype: .uint8, shape: [1], values: [1] as [UInt8])
        }
        for shape in [[-1], [4_194_305, 4_194_305, 211_106_198_978_564]] {
            #expect(throws: CheckpointError.self) {
                try writer.add("y\(shape)", dtype: .float32, shape: shape) { _ in }
            }
        }
        #expect(throws: CheckpointError.self) {
            try writer.add("__metadata__", dtype: .uint8, shape: [0]) { _ in }
        }
        #expect(throws: CheckpointError.wrongByteCount(tensor: "z", expected: 8, found: 4)) {
            try writer.add("z", dtype: .float32, shape: [2], values: [1] as [Float])
        }
    }

    /// Writing over the file whose mapped bytes are being written must not change them.
    @Test func savesOverTheLoadedFile() throws {
        let folder = try TemporaryDirectory()
        let url = folder.file("a.safetensors")
        let values = (0..<300_000).map { Float($0).squareRoot() }
        var writer = SafetensorsWriter()
        try writer.add("x", dtype: .float32, shape: [values.count], values: values)
        try writer.write(to: url)
        let before = try Data(contentsOf: url)

        let loaded = try SafetensorsFile(contentsOf: url)
        var copier = SafetensorsWriter(metadata: loaded.metadata)
        for entry in loaded.entries {
            try copier.add(entry.name, dtype: entry.dtype, shape: entry.shape) { emit in
                try emit(entry.bytes)
            }
        }
        try copier.write(to: url)
        #expect(try Data(contentsOf: url) == before)
        #expect(loaded.entry(named: "x")?.element(299_999, as: Float.self) == values[299_999])
    }
}
