/// Reads a pickle that describes a dictionary of tensors, without running anything.
///
/// A pickle is a program for a machine with a stack. Python's own reader lets it call any function;
/// this one knows the instructions that PyTorch's dictionaries of tensors are made of, the names in
/// ``PickleGlobal``, and what those do: it never looks anything up or falls back to another reader.
/// Every count is checked against the bytes that are left before anything is allocated.
///
/// Source: the comments of Python's `pickletools`; protocols 2 to 5.
struct Unpickler {
    /// The longest program: the descriptions of some 100,000 tensors.
    static let maximumSize = 16 << 20
    /// Values waiting on the stack: Python writes at most a thousand pairs before it stores them.
    static let maximumStack = 100_000

    private let bytes: UnsafeRawBufferPointer
    private let file: String
    /// The place where `bytes` begins in the file, for messages.
    private let base: Int
    private var position = 0
    private var start = 0
    private var stack: [PickleValue] = []
    private var marks: [Int] = []
    private var memo: [Int: PickleValue] = [:]
    private(set) var objects = PickleObjects()

    init(_ bytes: UnsafeRawBufferPointer, file: String, base: Int) {
        (self.bytes, self.file, self.base) = (bytes, file, base)
    }

    /// Runs the program.
    ///
    /// - Returns: The value it ends with; ``objects`` has what it refers to.
    /// - Throws: ``CheckpointError/malformed(file:offset:reason:)``, or
    ///   ``CheckpointError/forbidden(file:name:)`` naming what it asked for.
    mutating func run() throws -> PickleValue {
        guard bytes.count <= Self.maximumSize else {
            throw malformed("a pickle of \(bytes.count) bytes, allowed are \(Self.maximumSize)")
        }
        guard bytes.count >= 2, bytes[0] == 0x80, (2...5).contains(bytes[1]) else {
            throw malformed("it does not begin as a pickle of protocol 2 to 5")
        }
        while true {
            start = position
            guard position < bytes.count else { throw malformed("the pickle has no end") }
            let code = bytes[position]
            position += 1
            if code == Self.stop { break }
            try execute(code)
        }
        guard stack.count == 1, marks.isEmpty else {
            throw malformed("the pickle ends with \(stack.count) values instead of one")
        }
        guard position == bytes.count else { throw malformed("bytes follow the pickle's end") }
        return stack[0]
    }

    private static let stop = UInt8(ascii: ".")

    private func malformed(_ reason: String) -> CheckpointError {
        .malformed(file: file, offset: base + start, reason: reason)
    }

    // MARK: - Instructions

    private mutating func execute(_ code: UInt8) throws {
        switch code {
        case 0x80: _ = try number(UInt8.self)  // PROTO
        case 0x95:  // FRAME: the size of what follows, of use to those who read from a pipe
            guard try number(UInt64.self) <= UInt64(bytes.count - position) else {
                throw malformed("a frame ends beyond the pickle")
            }
        case UInt8(ascii: "("): try mark()
        case UInt8(ascii: "N"): try push(.none)
        case 0x88: try push(.bool(true))
        case 0x89: try push(.bool(false))
        case UInt8(ascii: "J"): try push(.int(Int(try number(Int32.self))))
        case UInt8(ascii: "K"): try push(.int(Int(try number(UInt8.self))))
        case UInt8(ascii: "M"): try push(.int(Int(try number(UInt16.self))))
        case 0x8A: try push(.int(try longInteger()))
        case UInt8(ascii: "X"): try pushText(Int(try number(UInt32.self)))
        case 0x8C: try pushText(Int(try number(UInt8.self)))
        case UInt8(ascii: ")"): try pushTuple([])
        case UInt8(ascii: "t"): try pushTuple(popToMark())
        case 0x85, 0x86, 0x87: try pushTuple(pop(Int(code) - 0x84))
        case UInt8(ascii: "}"): try pushDictionary()
        case UInt8(ascii: "s"), UInt8(ascii: "u"):
            try setItems(code == UInt8(ascii: "u") ? popToMark() : pop(2))
        case UInt8(ascii: "q"): try remember(Int(try number(UInt8.self)))
        case UInt8(ascii: "r"): try remember(Int(try number(UInt32.self)))
        case 0x94: try remember(memo.count)
        case UInt8(ascii: "h"): try recall(Int(try number(UInt8.self)))
        case UInt8(ascii: "j"): try recall(Int(try number(UInt32.self)))
        case UInt8(ascii: "c"): try pushGlobal(module: line(), name: line())
        case 0x93:
            let names = try pop(2).map { objects.text($0) }
            guard let module = names[0], let name = names[1] else {
                throw malformed("a class is named by something that is no text")
            }
            try pushGlobal(module: module, name: name)
        case UInt8(ascii: "Q"): try pushStorage()
        case UInt8(ascii: "R"): try reduce()
        case UInt8(ascii: "b"): try build()
        default: throw CheckpointError.forbidden(file: file, name: Self.description(of: code))
        }
    }

    /// The instruction in words, for those that a pickle could do harm with.
    private static func description(of code: UInt8) -> String {
        let names: [UInt8: String] = [
            UInt8(ascii: "i"): "INST", UInt8(ascii: "o"): "OBJ", 0x81: "NEWOBJ", 0x92: "NEWOBJ_EX",
            0x82: "EXT1", 0x83: "EXT2", 0x84: "EXT4", UInt8(ascii: "P"): "PERSID",
        ]
        let name = names[code].map { "\($0), " } ?? ""
        return "the pickle instruction \(name)0x\(String(code, radix: 16))"
    }

    private mutating func push(_ value: PickleValue) throws {
        guard stack.count < Self.maximumStack else {
            throw malformed("more than \(Self.maximumStack) values wait to be used")
        }
        stack.append(value)
    }

    private mutating func mark() throws {
        guard marks.count < Self.maximumStack else {
            throw malformed("more than \(Self.maximumStack) brackets are open")
        }
        marks.append(stack.count)
    }

    /// Takes `count` values off the stack, none from before the last mark.
    private mutating func pop(_ count: Int) throws -> [PickleValue] {
        guard stack.count - (marks.last ?? 0) >= count else {
            throw malformed("the pickle takes more values than it has made")
        }
        let values = Array(stack.suffix(count))
        stack.removeLast(count)
        return values
    }

    private mutating func popToMark() throws -> [PickleValue] {
        guard let mark = marks.popLast() else {
            throw malformed("a bracket closes that is not open")
        }
        let values = Array(stack[mark...])
        stack.removeSubrange(mark...)
        return values
    }

    private mutating func top() throws -> PickleValue {
        guard let value = stack.last, stack.count > marks.last ?? 0 else {
            throw malformed("the pickle takes more values than it has made")
        }
        return value
    }

    // MARK: - Numbers, texts and names

    private mutating func number<Value: FixedWidthInteger & BitwiseCopyable>(
        _ type: Value.Type
    ) throws -> Value {
        let size = MemoryLayout<Value>.size
        guard bytes.count - position >= size else { throw malformed("the pickle is cut off") }
        defer { position += size }
        return Value(littleEndian: bytes.loadUnaligned(fromByteOffset: position, as: type))
    }

    private mutating func take(_ count: Int) throws -> Slice<UnsafeRawBufferPointer> {
        guard count <= bytes.count - position else {
            throw malformed("a text or number of \(count) bytes, but the pickle ends before")
        }
        defer { position += count }
        return bytes[position..<position + count]
    }

    /// A whole number of up to 8 bytes, in two's complement.
    private mutating func longInteger() throws -> Int {
        let count = Int(try number(UInt8.self))
        let digits = try take(count)
        guard count <= 8 else { throw malformed("a whole number of \(count) bytes") }
        let isNegative = digits.last.map { $0 >= 0x80 } ?? false
        return digits.reversed().reduce(isNegative ? -1 : 0) { $0 << 8 | Int($1) }
    }

    private mutating func text(_ count: Int) throws -> String {
        guard let text = String(validating: try take(count), as: UTF8.self) else {
            throw malformed("a text is not UTF-8")
        }
        return text
    }

    private mutating func pushText(_ count: Int) throws {
        objects.texts.append(try text(count))
        try push(.text(objects.texts.count - 1))
    }

    /// The text up to the end of the line.
    private mutating func line() throws -> String {
        guard let end = bytes[position...].prefix(1024).firstIndex(of: UInt8(ascii: "\n")) else {
            throw malformed("a name without end")
        }
        defer { position += 1 }
        return try text(end - position)
    }

    private mutating func pushGlobal(module: String, name: String) throws {
        guard let global = PickleGlobal(module: module, name: name) else {
            throw CheckpointError.forbidden(file: file, name: "'\(module).\(name)'")
        }
        try push(.global(global))
    }

    // MARK: - The memo

    private mutating func remember(_ index: Int) throws { memo[index] = try top() }

    private mutating func recall(_ index: Int) throws {
        guard let value = memo[index] else {
            throw malformed("it refers to value \(index), which was not made")
        }
        try push(value)
    }

    // MARK: - Containers

    private mutating func pushTuple(_ items: [PickleValue]) throws {
        let begin = objects.items.count
        objects.items.append(contentsOf: items)
        objects.tuples.append(begin..<objects.items.count)
        try push(.tuple(objects.tuples.count - 1))
    }

    private mutating func pushDictionary() throws {
        objects.dictionaries.append([])
        try push(.dictionary(objects.dictionaries.count - 1))
    }

    private mutating func setItems(_ items: [PickleValue]) throws {
        guard case .dictionary(let index) = try top() else {
            throw malformed("entries are set in \(try top().kind)")
        }
        guard items.count % 2 == 0 else { throw malformed("a key without value") }
        for place in stride(from: 0, to: items.count, by: 2) {
            objects.dictionaries[index].append((key: items[place], value: items[place + 1]))
        }
    }

    // MARK: - Calls

    /// A persistent id stands for a storage: `("storage", class, key, location, count)`.
    private mutating func pushStorage() throws {
        let id = try pop(1)[0]
        guard let parts = objects.items(id), parts.count == 5, objects.text(parts[0]) == "storage",
            case .global(.storage(let type)) = parts[1], let key = objects.text(parts[2]),
            objects.text(parts[3]) != nil, case .int(let count) = parts[4], count >= 0
        else { throw malformed("a persistent id that is not that of a storage") }
        objects.storages.append(PickleObjects.Storage(key: key, type: type, count: count))
        try push(.storage(objects.storages.count - 1))
    }

    private mutating func reduce() throws {
        let operands = try pop(2)
        guard case .global(let function) = operands[0], let arguments = objects.items(operands[1])
        else {
            throw malformed("\(operands[0].kind) is called with \(operands[1].kind)")
        }
        switch function {
        case .orderedDictionary:
            guard arguments.isEmpty else { throw malformed("OrderedDict is called with arguments") }
            try pushDictionary()
        case .rebuildTensor: try pushTensor(arguments)
        case .rebuildParameter:
            guard arguments.count == 3, case .tensor = arguments[0], case .bool = arguments[1],
                case .dictionary = arguments[2]
            else { throw malformed("a parameter is made of other things than a tensor") }
            try push(arguments[0])
        case .storage: throw malformed("\(function) is called, not referred to")
        }
    }

    /// `(storage, offset, size, stride, requires_grad, hooks)`, and metadata in newer files.
    private mutating func pushTensor(_ arguments: [PickleValue]) throws {
        guard (6...7).contains(arguments.count), case .storage(let storage) = arguments[0],
            case .int(let offset) = arguments[1], let shape = objects.numbers(arguments[2]),
            let strides = objects.numbers(arguments[3]), case .bool = arguments[4],
            case .dictionary = arguments[5]
        else { throw malformed("a tensor is made of other things than a storage and numbers") }
        let view = PickleObjects.TensorView(
            storage: storage, offset: offset, shape: shape, strides: strides)
        if let problem = view.problem(in: objects.storages[storage].count) {
            throw malformed("a tensor of shape \(shape) and strides \(strides) \(problem)")
        }
        objects.tensors.append(view)
        try push(.tensor(objects.tensors.count - 1))
    }

    /// Attributes are set on dictionaries only, where they say nothing of the tensors.
    private mutating func build() throws {
        let state = try pop(1)[0]
        guard case .dictionary = try top(), case .dictionary = state else {
            throw malformed("the state of \(try top().kind) is set to \(state.kind)")
        }
    }
}
