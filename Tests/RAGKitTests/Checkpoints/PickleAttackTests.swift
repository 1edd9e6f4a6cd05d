import Foundation
import Testing

@testable import RAGKit

/// A crafted file, and what its error has to say.
struct CraftedFile: CustomTestStringConvertible, Sendable {
    var name: String
    var bytes: [UInt8]
    var says: String
    var isForbidden = false
    var testDescription: String { name }

    /// A file with this pickle.
    init(_ name: String, pickle: [UInt8], says: String, forbidden: Bool = false) {
        self.init(name, ZipWriter.torch(pickle), says: says)
        isForbidden = forbidden
    }

    init(_ name: String, _ archive: ZipWriter, says: String) {
        (self.name, self.bytes, self.says) = (name, archive.bytes(), says)
    }

    func expectRefused() throws {
        let folder = try TemporaryDirectory()
        let url = try folder.write(bytes, to: "pytorch_model.bin")
        let error = try #require(throws: CheckpointError.self) {
            _ = try ModelWeights(directory: folder.url)
        }
        #expect(error.description.contains(says), "\(error)")
        #expect(error.description.contains(url.path))
        if case .forbidden = error {
            #expect(isForbidden)
        } else {
            #expect(!isForbidden, "\(error)")
        }
    }
}

private let good = Pickle.tensor()

private func pickle(_ body: [UInt8]...) -> [UInt8] { Pickle.whole(body.flatMap { $0 }) }

/// Instructions and names that could run code.
private let codeRunners: [CraftedFile] =
    [
        ("os", "system"), ("posix", "system"), ("nt", "system"), ("builtins", "eval"),
        ("builtins", "getattr"), ("__builtin__", "exec"), ("subprocess", "Popen"),
        ("torch", "load"), ("torch.hub", "load"), ("torch", "storage.FloatStorage"),
        ("torch._utils", "_rebuild_tensor"), ("collections", "OrderedDict.update"),
        ("torch", "ComplexFloatStorage"), ("torch", "QInt8Storage"), ("numpy", "ndarray"),
    ].map { module, name in
        CraftedFile(
            "\(module).\(name)",
            pickle: pickle(
                Pickle.global(module, name), Pickle.tuple([Pickle.text("touch /tmp/x")]),
                Pickle.op("R")), says: "'\(module).\(name)'", forbidden: true)
    } + [
        CraftedFile(
            "STACK_GLOBAL",
            pickle: Pickle.whole(
                Pickle.text("os") + Pickle.text("system") + [0x93], protocol: 4),
            says: "'os.system'", forbidden: true),
        CraftedFile(
            "STACK_GLOBAL of numbers", pickle: Pickle.whole([0x4B, 1, 0x4B, 2, 0x93], protocol: 4),
            says: "no text"),
        CraftedFile(
            "INST", pickle: pickle(Pickle.op("("), Array("ios\nsystem\n".utf8)), says: "INST",
            forbidden: true),
        CraftedFile(
            "OBJ",
            pickle: pickle(
                Pickle.op("("), Pickle.global("collections", "OrderedDict"), Pickle.op("o")),
            says: "OBJ", forbidden: true),
        CraftedFile(
            "NEWOBJ",
            pickle: pickle(Pickle.global("collections", "OrderedDict"), Pickle.op(")"), [0x81]),
            says: "NEWOBJ", forbidden: true),
        CraftedFile(
            "NEWOBJ_EX",
            pickle: pickle(
                Pickle.global("collections", "OrderedDict"), Pickle.op(")"), Pickle.op("}"), [0x92]),
            says: "NEWOBJ_EX", forbidden: true),
        CraftedFile("EXT1", pickle: pickle([0x82, 1]), says: "EXT1", forbidden: true),
        CraftedFile("EXT2", pickle: pickle([0x83, 1, 0]), says: "EXT2", forbidden: true),
        CraftedFile("EXT4", pickle: pickle([0x84, 1, 0, 0, 0]), says: "EXT4", forbidden: true),
        CraftedFile("PERSID", pickle: pickle(Array("Px\n".utf8)), says: "PERSID", forbidden: true),
        CraftedFile(
            "DUP", pickle: pickle(Pickle.op("N"), Pickle.op("2")), says: "0x32", forbidden: true),
        CraftedFile(
            "POP", pickle: pickle(Pickle.op("N"), Pickle.op("0")), says: "0x30", forbidden: true),
        CraftedFile(
            "REDUCE of a text",
            pickle: pickle(Pickle.text("os.system"), Pickle.op(")"), Pickle.op("R")),
            says: "a text is called"),
        CraftedFile(
            "REDUCE of a storage class",
            pickle: pickle(Pickle.global("torch", "FloatStorage"), Pickle.op(")"), Pickle.op("R")),
            says: "called, not referred to"),
        CraftedFile(
            "OrderedDict with arguments",
            pickle: pickle(
                Pickle.global("collections", "OrderedDict"), Pickle.tuple([Pickle.op("}")]),
                Pickle.op("R")), says: "with arguments"),
        CraftedFile(
            "BUILD on a tensor", pickle: pickle(good, Pickle.op("}"), Pickle.op("b")),
            says: "a tensor is set"),
        CraftedFile(
            "BUILD with a tuple", pickle: pickle(Pickle.op("}"), Pickle.op(")"), Pickle.op("b")),
            says: "set to a tuple"),
        CraftedFile(
            "persistent id of four parts",
            pickle: pickle(
                Pickle.tuple([
                    Pickle.text("storage"), Pickle.global("torch", "FloatStorage"),
                    Pickle.text("0"), Pickle.text("cpu"),
                ]), Pickle.op("Q")), says: "persistent id"),
        CraftedFile(
            "persistent id that is a text", pickle: pickle(Pickle.text("0"), Pickle.op("Q")),
            says: "persistent id"),
        CraftedFile(
            "persistent id of another kind",
            pickle: pickle(
                Pickle.tuple([
                    Pickle.text("module"), Pickle.global("torch", "FloatStorage"),
                    Pickle.text("0"), Pickle.text("cpu"), Pickle.int(6),
                ]), Pickle.op("Q")), says: "persistent id"),
        CraftedFile(
            "persistent id of negative size",
            pickle: Pickle.dictionary([("x", Pickle.tensor(storage: Pickle.storage(count: -1)))]),
            says: "persistent id"),
    ]

/// Pickles that break the machine's own rules.
private let broken: [CraftedFile] = [
    CraftedFile("empty", pickle: [], says: "does not begin"),
    CraftedFile("protocol 1", pickle: [0x80, 1, 0x4E, 0x2E], says: "does not begin"),
    CraftedFile("protocol 9", pickle: [0x80, 9, 0x4E, 0x2E], says: "does not begin"),
    CraftedFile("no STOP", pickle: [0x80, 2, 0x7D], says: "no end"),
    CraftedFile("memo index missing", pickle: pickle([0x68, 7]), says: "value 7"),
    CraftedFile(
        "memo index of 32 bits", pickle: pickle([0x6A, 255, 255, 255, 255]), says: "was not made"),
    CraftedFile(
        "memo of nothing", pickle: pickle([0x71, 0]), says: "more values than it has made"),
    CraftedFile("stack underflow", pickle: pickle([0x85]), says: "more values than it has made"),
    CraftedFile("REDUCE of nothing", pickle: pickle(Pickle.op("R")), says: "more values"),
    CraftedFile("nothing left", pickle: [0x80, 2, 0x2E], says: "0 values"),
    CraftedFile("two values left", pickle: pickle([0x4E, 0x4E]), says: "2 values"),
    CraftedFile(
        "open bracket at the end", pickle: pickle(Pickle.op("}"), Pickle.op("(")), says: "ends with"
    ),
    CraftedFile("closing bracket alone", pickle: pickle(Pickle.op("t")), says: "not open"),
    CraftedFile(
        "values from behind a bracket", pickle: pickle([0x4E, 0x28, 0x85]), says: "more values"),
    CraftedFile(
        "text of 4 GB", pickle: pickle([0x58, 255, 255, 255, 255, 65]), says: "4294967295 bytes"),
    CraftedFile("short text too long", pickle: pickle([0x8C, 200, 65]), says: "200 bytes"),
    CraftedFile("text that is not UTF-8", pickle: pickle([0x58, 1, 0, 0, 0, 0xFF]), says: "UTF-8"),
    CraftedFile("number of 255 bytes", pickle: pickle([0x8A, 255, 1]), says: "255 bytes"),
    CraftedFile(
        "number of 9 bytes", pickle: pickle([0x8A, 9] + [UInt8](repeating: 1, count: 9)),
        says: "9 bytes"),
    CraftedFile("number cut off", pickle: [0x80, 2, 0x4A, 1], says: "cut off"),
    CraftedFile("name without end", pickle: pickle(Array("cos".utf8)), says: "without end"),
    CraftedFile(
        "frame beyond the end",
        pickle: Pickle.whole([0x95] + [UInt8](repeating: 255, count: 8), protocol: 4), says: "frame"
    ),
    CraftedFile("bytes after the end", pickle: pickle(Pickle.op("}")) + [0], says: "follow"),
    CraftedFile(
        "SETITEMS on a tensor",
        pickle: pickle(good, Pickle.op("("), Pickle.text("a"), good, Pickle.op("u")),
        says: "set in a tensor"),
    CraftedFile(
        "SETITEM on a tuple",
        pickle: pickle(Pickle.op(")"), Pickle.text("a"), good, Pickle.op("s")),
        says: "set in a tuple"),
    CraftedFile(
        "key without value",
        pickle: pickle(Pickle.op("}"), Pickle.op("("), Pickle.text("a"), Pickle.op("u")),
        says: "without value"),
    CraftedFile(
        "a million brackets", pickle: pickle([UInt8](repeating: 0x28, count: 1_000_000)),
        says: "brackets are open"),
    CraftedFile(
        "a million values", pickle: pickle([UInt8](repeating: 0x4E, count: 1_000_000)),
        says: "wait to be used"),
    CraftedFile(
        "a million tuples inside each other",
        pickle: pickle([0x29] + [UInt8](repeating: 0x85, count: 1_000_000)),
        says: "it holds a tuple"),
    CraftedFile(
        "a dictionary inside itself",
        pickle: pickle(
            Pickle.op("}"), [0x71, 0], Pickle.text("a"), [0x68, 0], Pickle.op("s")),
        says: "'a' is a dictionary"),
    CraftedFile("a number", pickle: pickle([0x4B, 1]), says: "it holds a number"),
    CraftedFile("a tensor alone", pickle: pickle(good), says: "it holds a tensor"),
    CraftedFile(
        "a name that is a number", pickle: pickle(Pickle.op("}"), [0x4B, 1], good, Pickle.op("s")),
        says: "named by a number"),
    CraftedFile(
        "a name that is there twice", pickle: Pickle.dictionary([("a", good), ("a", good)]),
        says: "'a' is there twice"),
    CraftedFile(
        "a value that is a number", pickle: Pickle.dictionary([("a", [0x4B, 1])]),
        says: "'a' is a number"),
]

private func view(
    _ name: String, storage: [UInt8] = Pickle.storage(), offset: Int = 0, _ shape: [Int],
    _ strides: [Int], says: String
) -> CraftedFile {
    CraftedFile(
        name,
        pickle: Pickle.dictionary([
            ("x", Pickle.tensor(storage: storage, offset: offset, shape: shape, strides: strides))
        ]), says: says)
}

/// Tensors that reach out of their storages. The storage has six elements.
private let views: [CraftedFile] = [
    view("offset beyond", offset: 6, [1], [1], says: "reaches element 6"),
    view("offset and shape beyond", offset: 1, [2, 3], [3, 1], says: "reaches element 6"),
    view("stride beyond", [2], [6], says: "reaches element 6"),
    view("negative offset", offset: -1, [1], [1], says: "negative"),
    view("negative stride", offset: 5, [2], [-1], says: "negative"),
    view("negative size", [-1], [1], says: "negative"),
    view("stride overflow", [3], [Int.max], says: "beyond its storage"),
    view("offset overflow", offset: .max, [2], [1], says: "beyond its storage"),
    view(
        "shape overflow", [4_194_305, 4_194_305, 211_106_198_978_564], [0, 0, 0], says: "too large"),
    view("overflow hidden by a zero", [1 << 62, 1 << 62, 0], [0, 0, 0], says: "too large"),
    view("rows repeated for ever", [1 << 40], [0], says: "more elements"),
    view("stride missing", [2, 3], [1], says: "a stride too many or too few"),
    view(
        "65 dimensions", [Int](repeating: 1, count: 65), [Int](repeating: 1, count: 65), says: "64"),
    view(
        "storage shorter than declared", storage: Pickle.storage(count: 7), [7], [1],
        says: "24 bytes"),
    view(
        "storage longer than declared", storage: Pickle.storage(count: 5), [5], [1],
        says: "24 bytes"),
    view(
        "storage of 2^62 elements", storage: Pickle.storage(count: 1 << 62), [1], [1],
        says: "24 bytes"),
    view(
        "storage of another type", storage: Pickle.storage(type: "DoubleStorage"), [1], [1],
        says: "F64"),
    view(
        "storage that is not there", storage: Pickle.storage(key: "1"), [1], [1],
        says: "no entry 'data/1'"),
    view(
        "storage outside", storage: Pickle.storage(key: "../data.pkl"), [1], [1], says: "no entry"),
    CraftedFile(
        "storage of two types",
        pickle: Pickle.dictionary([
            ("x", good),
            ("y", Pickle.tensor(storage: Pickle.storage(type: "IntStorage"))),
        ]), says: "two types"),
    CraftedFile(
        "sizes that are texts",
        pickle: Pickle.dictionary([
            (
                "x",
                Pickle.global("torch._utils", "_rebuild_tensor_v2")
                    + Pickle.tuple([
                        Pickle.storage(), Pickle.int(0), Pickle.tuple([Pickle.text("2")]),
                        Pickle.tuple([Pickle.int(1)]), [0x89], Pickle.hooks,
                    ]) + Pickle.op("R")
            )
        ]), says: "other things than"),
]

@Suite(.tags(.files)) struct PickleAttackTests {
    @Test(arguments: codeRunners) func runsNoCode(_ file: CraftedFile) throws {
        try file.expectRefused()
    }

    @Test(arguments: broken) func refusesBrokenPickles(_ file: CraftedFile) throws {
        try file.expectRefused()
    }

    @Test(arguments: views) func refusesTensorsOutsideTheirStorage(_ file: CraftedFile) throws {
        try file.expectRefused()
    }

    /// The crafted files are right but for what each test changes.
    @Test(arguments: [UInt8(2), 3, 4, 5]) func acceptsTheSameWithoutTheAttack(version: UInt8) throws
    {
        let folder = try TemporaryDirectory()
        let stacked =
            Pickle.text("torch._utils") + Pickle.text("_rebuild_tensor_v2") + [0x93]
            + good.dropFirst(Pickle.global("torch._utils", "_rebuild_tensor_v2").count)
        let pickle = Pickle.dictionary(
            [
                ("x", good), ("y", Pickle.tensor(offset: 1, shape: [2, 2], strides: [3, 1])),
                ("z", stacked), ("last", Pickle.tensor(offset: 5, shape: [1], strides: [9])),
            ], protocol: version)
        let data = (0..<6).flatMap { ZipWriter.little(Float($0).bitPattern) }
        let url = try folder.write(ZipWriter.torch(pickle, data: [data]).bytes(), to: "a.bin")
        let weights = try ModelWeights(contentsOf: url)
        #expect(weights.names == ["x", "y", "z", "last"])
        #expect(try weights.tensor("x").elements == [0, 1, 2, 3, 4, 5])
        #expect(try weights.tensor("y").elements == [1, 2, 4, 5])
        #expect(try weights.tensor("z").shape == [2, 3])
        #expect(try weights.tensor("last").elements == [5])
    }

    @Test(
        arguments: [
            ([], 0), ([0xFF], -1), ([0x00, 0x01], 256), ([0xFE, 0xFF], -2),
            ([0, 0, 0, 0, 0, 0, 0, 0x80], Int.min),
        ] as [([UInt8], Int)])
    func longNumbers(digits: [UInt8], value: Int) throws {
        let program = Pickle.whole([0x8A, UInt8(digits.count)] + digits)
        let found = try program.withUnsafeBytes { bytes in
            var reader = Unpickler(bytes, file: "a", base: 0)
            return try reader.run()
        }
        #expect(found == .int(value))
    }
}
