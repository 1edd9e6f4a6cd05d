import Foundation
import Testing

@testable import RAGKit

/// The bytes of a safetensors file with a header of any kind.
func safetensors(_ header: String, data: Int = 0, padding: Int = 0) -> [UInt8] {
    safetensors(Array(header.utf8) + [UInt8](repeating: 0x20, count: padding), data: data)
}

func safetensors(_ header: [UInt8], data: Int) -> [UInt8] {
    withUnsafeBytes(of: UInt64(header.count).littleEndian) { Array($0) } + header
        + (0..<data).map { UInt8(truncatingIfNeeded: $0) }
}

/// Peak memory of this process in bytes.
func peakMemory() -> Int {
    var usage = rusage()
    #if canImport(Darwin)
        getrusage(RUSAGE_SELF, &usage)
        return usage.ru_maxrss
    #else
        getrusage(__rusage_who_t(RUSAGE_SELF.rawValue), &usage)
        return usage.ru_maxrss * 1024
    #endif
}

/// Processor time of this thread, which other work on the machine does not change much.
func threadSeconds() -> Double {
    var time = timespec()
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time)
    return Double(time.tv_sec) + Double(time.tv_nsec) * 1e-9
}

/// An attack on the reader, and what its error has to say.
struct Attack: CustomTestStringConvertible, Sendable {
    var name: String
    var bytes: [UInt8]
    var says: String
    var testDescription: String { name }

    init(_ name: String, _ header: String, data: Int = 0, says: String) {
        self.init(name, bytes: safetensors(header, data: data), says: says)
    }

    init(_ name: String, bytes: [UInt8], says: String) {
        self.name = name
        self.bytes = bytes
        self.says = says
    }
}

private func length(_ value: UInt64) -> [UInt8] {
    withUnsafeBytes(of: value.littleEndian) { Array($0) }
}

private func tensor(_ name: String, _ shape: String, _ begin: Int, _ end: Int) -> String {
    tensor(name, "U8", shape, begin, end)
}

private func tensor(
    _ name: String, _ dtype: String, _ shape: String, _ begin: Int, _ end: Int
) -> String {
    "\"\(name)\":{\"dtype\":\"\(dtype)\",\"shape\":\(shape),\"data_offsets\":[\(begin),\(end)]}"
}

private let shortFiles: [Attack] = (0..<8).map { count in
    Attack("\(count) bytes", bytes: [UInt8](repeating: 0, count: count), says: "file ends")
}

private let attacks: [Attack] = [
    Attack("no header", bytes: length(0), says: "does not begin with '{'"),
    Attack("header longer than file", bytes: length(9) + [0x7B], says: "cut off"),
    Attack("header over the limit", bytes: length(100_000_001) + [0x7B], says: "allowed are"),
    Attack("header of 2^63", bytes: length(1 << 63) + [0x7B], says: "allowed are"),
    Attack("header of 2^64 - 1", bytes: length(.max), says: "allowed are"),
    Attack(
        "Git LFS pointer", bytes: Array("version https://git-lfs.github.com/spec/v1\n".utf8),
        says: "git lfs pull"),
    Attack("zip", bytes: [0x50, 0x4B, 3, 4, 9, 9, 9, 9, 9], says: "zip archive"),
    Attack("begins with a space", " {}", says: "does not begin with '{'"),
    Attack("array", "[]", says: "does not begin with '{'"),
    Attack("invalid UTF-8", bytes: safetensors([0x7B, 0x22, 0xFF, 0x22], data: 0), says: "UTF-8"),
    Attack("half a surrogate", #"{"\ud800":1}"#, says: "surrogate"),
    Attack("not JSON", "{]", says: "expected a string"),
    Attack("text after the header", "{} x", says: "expected the end"),
    Attack("comma at the end", "{\(tensor("a", "[1]", 0, 1)),}", data: 1, says: "a string"),
    Attack(
        "deep brackets", "{\"a\":{\"shape\":" + String(repeating: "[", count: 200_000),
        says: "whole number"),
    Attack(
        "deep brackets in metadata", "{\"__metadata__\":" + String(repeating: "[", count: 200_000),
        says: "expected '{'"),
    Attack(
        "overlap", "{\(tensor("a", "[4]", 0, 4)),\(tensor("b", "[4]", 2, 6))}", data: 6,
        says: "'b' overlaps"),
    Attack(
        "equal offsets", "{\(tensor("a", "[4]", 0, 4)),\(tensor("b", "[4]", 0, 4))}", data: 4,
        says: "'b' overlaps"),
    Attack(
        "hole", "{\(tensor("a", "[2]", 0, 2)),\(tensor("b", "[2]", 4, 6))}", data: 6,
        says: "'b' leaves a hole"),
    Attack("hole at the start", "{\(tensor("a", "[2]", 1, 3))}", data: 3, says: "hole"),
    Attack("descending", "{\(tensor("a", "[2]", 2, 0))}", data: 2, says: "'a' ends at 0, before"),
    Attack("negative offset", "{\(tensor("a", "[2]", -2, 0))}", data: 2, says: "'a': negative"),
    Attack("beyond the end", "{\(tensor("a", "[8]", 0, 8))}", data: 4, says: "'a' ends at"),
    Attack("trailing bytes", "{\(tensor("a", "[2]", 0, 2))}", data: 3, says: "1 bytes follow"),
    Attack("trailing bytes alone", "{}", data: 1, says: "1 bytes follow"),
    Attack("wrong size", "{\(tensor("a", "F32", "[2]", 0, 4))}", data: 4, says: "needs 8 bytes"),
    Attack(
        "shape product overflows",
        "{\(tensor("a", "F32", "[4194305,4194305,211106198978564]", 0, 4))}", data: 4,
        says: "too large"),
    Attack(
        "overflow hidden by a zero",
        "{\(tensor("a", "F32", "[4194305,4194305,211106198978564,0]", 0, 0))}",
        says: "too large"),
    Attack("negative dimension", "{\(tensor("a", "[-1]", 0, 1))}", data: 1, says: "negative"),
    Attack("fraction", "{\(tensor("a", "[1.0]", 0, 1))}", data: 1, says: "whole number"),
    Attack("exponent", "{\(tensor("a", "[1e0]", 0, 1))}", data: 1, says: "whole number"),
    Attack("text as dimension", "{\(tensor("a", "[\"1\"]", 0, 1))}", data: 1, says: "whole"),
    Attack("leading zero", "{\(tensor("a", "[01]", 0, 1))}", data: 1, says: "begin with 0"),
    Attack(
        "2^63", "{\(tensor("a", "[9223372036854775808]", 0, 1))}", data: 1,
        says: "'a': expected a whole number below 2^63"),
    Attack(
        "many dimensions",
        "{\(tensor("a", "[1" + String(repeating: ",1", count: 64) + "]", 0, 1))}",
        data: 1, says: "more than 64"),
    Attack(
        "three offsets", #"{"a":{"dtype":"U8","shape":[1],"data_offsets":[0,1,1]}}"#, data: 1,
        says: "expected ']'"),
    Attack(
        "one offset", #"{"a":{"dtype":"U8","shape":[1],"data_offsets":[0]}}"#, data: 1,
        says: "expected ','"),
    Attack("no shape", #"{"a":{"dtype":"U8","data_offsets":[0,1]}}"#, data: 1, says: "needs"),
    Attack(
        "duplicate tensor", "{\(tensor("a", "[1]", 0, 1)),\(tensor("a", "[1]", 1, 2))}",
        data: 2, says: "'a' is there twice"),
    Attack(
        "duplicate tensor, written differently",
        "{\(tensor("a", "[1]", 0, 1)),\(tensor("\\u0061", "[1]", 1, 2))}", data: 2,
        says: "'a' is there twice"),
    Attack(
        "duplicate dtype",
        #"{"a":{"dtype":"U8","dtype":"I8","shape":[1],"data_offsets":[0,1]}}"#, data: 1,
        says: "'a': 'dtype' is there twice"),
    Attack(
        "duplicate metadata", #"{"__metadata__":{"k":"1","k":"2"}}"#, says: "'k' is there twice"),
    Attack(
        "two metadata", #"{"__metadata__":{},"__metadata__":{}}"#, says: "is there twice"),
    Attack("metadata is a number", #"{"__metadata__":{"k":1}}"#, says: "expected a string"),
    Attack(
        "unknown key", #"{"a":{"dtype":"U8","strides":[1]}}"#, says: "'a': unknown key 'strides'"),
]

@Suite(.tags(.files)) struct SafetensorsFileTests {
    @Test(arguments: shortFiles + attacks)
    func refusesAttack(_ attack: Attack) throws {
        let folder = try TemporaryDirectory()
        let url = try folder.write(attack.bytes, to: "a.safetensors")
        for access in [MappedFile.Access.mapped, .copied] {
            let error = try #require(throws: CheckpointError.self) {
                _ = try SafetensorsFile(contentsOf: url, access: access)
            }
            guard case .malformed(let file, let offset, let reason) = error else {
                Issue.record("\(error)")
                continue
            }
            #expect(file == url.path)
            #expect(offset >= 0 && offset <= attack.bytes.count)
            #expect(reason.contains(attack.says), "\(reason)")
        }
    }

    @Test func refusesAnUnknownTypeByName() throws {
        let folder = try TemporaryDirectory()
        let header = "{\(tensor("weight", "F8_E4M3", "[1]", 0, 1))}"
        let url = try folder.write(safetensors(header, data: 1), to: "a.safetensors")
        let error = #expect(throws: CheckpointError.self) {
            _ = try SafetensorsFile(contentsOf: url)
        }
        #expect(error?.description.contains("weight") == true)
        #expect(error?.description.contains("F8_E4M3") == true)
    }

    @Test func refusesAMissingFile() throws {
        let folder = try TemporaryDirectory()
        #expect(throws: CheckpointError.self) {
            _ = try SafetensorsFile(contentsOf: folder.file("none.safetensors"))
        }
        #expect(throws: FileError.notAFile(path: folder.url.path)) {
            _ = try SafetensorsFile(contentsOf: folder.url)
        }
    }

    @Test func acceptsEmptyTensorsAndSingleNumbers() throws {
        let folder = try TemporaryDirectory()
        let header = "{\(tensor("none", "F32", "[3,0]", 0, 0)),\(tensor("one", "F32", "[]", 0, 4))}"
        let url = try folder.write(safetensors(header, data: 4), to: "a.safetensors")
        let file = try SafetensorsFile(contentsOf: url)
        #expect(file.names == ["none", "one"])
        #expect(file.entry(named: "none")?.count == 0)
        #expect(file.entry(named: "one")?.count == 1)
        #expect(file.entry(named: "one")?.shape == [])
        #expect(file.entry(named: "two") == nil)
    }

    @Test func sortsTensorsByTheirData() throws {
        let folder = try TemporaryDirectory()
        let header = "{\(tensor("b", "[2]", 3, 5)),\(tensor("a", "[3]", 0, 3))}"
        let url = try folder.write(safetensors(header, data: 5, padding: 3), to: "a.safetensors")
        let file = try SafetensorsFile(contentsOf: url)
        #expect(file.names == ["a", "b"])
        #expect(file.entry(named: "b").map { Array($0.bytes) } == [3, 4])
        #expect(try file.entry(named: "a", dtype: .uint8).shape == [3])
        #expect(throws: CheckpointError.self) { try file.entry(named: "a", dtype: .int8) }
        #expect(throws: CheckpointError.self) { try file.entry(named: "c", dtype: .int8) }
    }

    @Test func refusesEveryTruncation() throws {
        let folder = try TemporaryDirectory()
        let url = folder.file("a.safetensors")
        var writer = SafetensorsWriter(metadata: ["format": "pt"])
        try writer.add("a", dtype: .float32, shape: [2, 2], values: [1, 2, 3, 4] as [Float])
        try writer.add("b", dtype: .int64, shape: [3], values: [1, 2, 3] as [Int64])
        try writer.write(to: url)
        let whole = try Data(contentsOf: url)
        _ = try SafetensorsFile(contentsOf: url)
        for count in 0..<whole.count {
            try folder.write(whole.prefix(count), to: "cut.safetensors")
            #expect(throws: CheckpointError.self, "cut to \(count) bytes") {
                _ = try SafetensorsFile(contentsOf: folder.file("cut.safetensors"))
            }
        }
    }

    /// Every change of one header byte to any value ends in an error or in a value inside the file.
    @Test func survivesEveryChangeOfAHeaderByte() throws {
        let folder = try TemporaryDirectory()
        let whole = safetensors(
            "{\"__metadata__\":{\"k\":\"v\"},\(tensor("a", "F32", "[2,1]", 0, 8)),"
                + "\(tensor("b", "[3]", 8, 11))}", data: 11)
        var refused = 0
        for position in 0..<whole.count - 11 {
            var changed = whole
            for value in stride(from: UInt8(1), through: 255, by: 23) {
                changed[position] = whole[position] ^ value
                let url = try folder.write(changed, to: "changed.safetensors")
                do {
                    let file = try SafetensorsFile(contentsOf: url)
                    for entry in file.entries {
                        #expect(entry.bytes.reduce(0) { $0 &+ Int($1) } >= 0)
                    }
                } catch is CheckpointError {
                    refused += 1
                }
            }
        }
        #expect(refused > whole.count * 4)
    }

    @Test(.tags(.slow), .unlessFast) func readsAMillionTensorsInLinearTime() throws {
        let folder = try TemporaryDirectory()
        var header = "{"
        header.reserveCapacity(90_000_000)
        for index in 0..<1_000_000 {
            if index > 0 { header += "," }
            header += "\"t\(index)\":{\"dtype\":\"U8\",\"shape\":[1],\"data_offsets\":["
            header += "\(index),\(index + 1)]}"
        }
        header += "}"
        let url = try folder.write(safetensors(header, data: 1_000_000), to: "a.safetensors")
        var file: SafetensorsFile?
        let start = threadSeconds()
        file = try SafetensorsFile(contentsOf: url)
        let seconds = threadSeconds() - start
        #expect(file?.names.count == 1_000_000)
        #expect(file?.entry(named: "t999999").map { $0.bytes[0] } == UInt8(999_999 % 256))
        // A second in release; a step that grows with the square of the count would take hours.
        #expect(seconds < 60)
    }

    @Test(.tags(.slow), .unlessFast) func refusesAMillionEqualOffsetsQuickly() throws {
        let folder = try TemporaryDirectory()
        let parts = (0..<1_000_000).map {
            "\"\($0)\":{\"dtype\":\"U8\",\"shape\":[1],\"data_offsets\":[0,1]}"
        }
        let header = "{\(parts.joined(separator: ","))}"
        let url = try folder.write(safetensors(header, data: 1), to: "a.safetensors")
        let start = threadSeconds()
        #expect(throws: CheckpointError.self) { _ = try SafetensorsFile(contentsOf: url) }
        #expect(threadSeconds() - start < 60)
    }

    /// In a process of its own, so that memory is this test's.
    @Test func aHeaderClaimCostsNoMemory() async {
        await #expect(processExitsWith: .success) {
            let folder = try TemporaryDirectory()
            func refuse(_ claim: UInt64) throws {
                let url = try folder.write(length(claim) + [0x7B], to: "a.safetensors")
                #expect(throws: CheckpointError.self) { _ = try SafetensorsFile(contentsOf: url) }
            }
            try refuse(9)  // Whatever is made once is made here.
            let before = peakMemory()
            for claim in [100_000_000, 99_999_999, 100_000_001, 1 << 40, 1 << 63, UInt64.max] {
                try refuse(claim)
            }
            #expect(peakMemory() - before < 1 << 20)
        }
    }

    @Test(.tags(.golden), arguments: Golden.all)
    func readsFilesOfTheReference(golden: Golden) throws {
        for name in ["expected.safetensors", "rag/model.safetensors"] {
            let file = try SafetensorsFile(contentsOf: golden.folder.appendingPathComponent(name))
            #expect(file.names.count > 10)
            for entry in file.entries {
                #expect(entry.count == entry.shape.reduce(1, *))
            }
        }
    }
}
