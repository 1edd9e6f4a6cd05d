/// A value that the unpickler can hold: the parts of a dictionary of tensors and nothing else.
///
/// Texts and containers are referred to by number, so that neither deep nor circular nesting costs
/// anything when they are released, and a value is small.
enum PickleValue: Equatable {
    case none
    case bool(Bool)
    case int(Int)
    /// The numbers of the three following count into ``PickleObjects``.
    case text(Int)
    case tuple(Int)
    case dictionary(Int)
    case global(PickleGlobal)
    case storage(Int)
    case tensor(Int)

    /// The kind in a word, for messages.
    var kind: String {
        switch self {
        case .none: "None"
        case .bool: "a Boolean"
        case .int: "a number"
        case .text: "a text"
        case .tuple: "a tuple"
        case .dictionary: "a dictionary"
        case .global(let global): "the class \(global)"
        case .storage: "a storage"
        case .tensor: "a tensor"
        }
    }
}

/// The names that a pickle may refer to: all it takes to build tensors.
enum PickleGlobal: Equatable, CustomStringConvertible {
    case rebuildTensor
    case rebuildParameter
    case orderedDictionary
    case storage(SafetensorsDType)

    /// - Returns: nil for any other name.
    init?(module: String, name: String) {
        switch (module, name) {
        case ("torch._utils", "_rebuild_tensor_v2"): self = .rebuildTensor
        case ("torch._utils", "_rebuild_parameter"): self = .rebuildParameter
        case ("collections", "OrderedDict"): self = .orderedDictionary
        case ("torch", _):
            guard let type = Self.storages.first(where: { $0.name == name })?.type else {
                return nil
            }
            self = .storage(type)
        default: return nil
        }
    }

    private static let storages: [(name: String, type: SafetensorsDType)] = [
        ("FloatStorage", .float32), ("HalfStorage", .float16), ("BFloat16Storage", .bfloat16),
        ("DoubleStorage", .float64), ("LongStorage", .int64), ("IntStorage", .int32),
        ("ShortStorage", .int16), ("CharStorage", .int8), ("ByteStorage", .uint8),
        ("BoolStorage", .bool),
    ]

    var description: String {
        switch self {
        case .rebuildTensor: "torch._utils._rebuild_tensor_v2"
        case .rebuildParameter: "torch._utils._rebuild_parameter"
        case .orderedDictionary: "collections.OrderedDict"
        case .storage(let type):
            "torch." + (Self.storages.first { $0.type == type }?.name ?? "Storage")
        }
    }
}

/// Everything a pickle made, by number.
struct PickleObjects {
    /// The elements of a file that tensors are views of.
    struct Storage: Equatable {
        /// The entry `data/<key>` of the archive.
        var key: String
        var type: SafetensorsDType
        /// The number of elements.
        var count: Int
    }

    /// A window of a storage; all numbers count elements.
    struct TensorView {
        var storage: Int
        var offset: Int
        var shape: [Int]
        var strides: [Int]
    }

    var texts: [String] = []
    /// The contents of all tuples back to back: an array for each would take several times as much.
    var items: [PickleValue] = []
    var tuples: [Range<Int>] = []
    var dictionaries: [[(key: PickleValue, value: PickleValue)]] = []
    var storages: [Storage] = []
    var tensors: [TensorView] = []

    func text(_ value: PickleValue) -> String? {
        if case .text(let index) = value { texts[index] } else { nil }
    }

    func items(_ value: PickleValue) -> [PickleValue]? {
        if case .tuple(let index) = value { Array(items[tuples[index]]) } else { nil }
    }

    /// The whole numbers in a tuple; nil if it holds anything else.
    func numbers(_ value: PickleValue) -> [Int]? {
        guard let items = items(value) else { return nil }
        var numbers: [Int] = []
        for case .int(let number) in items { numbers.append(number) }
        return numbers.count == items.count ? numbers : nil
    }
}

extension PickleObjects.TensorView {
    /// The fault of a view of a storage of `count` elements; nil if all of it lies inside.
    ///
    /// A view of more elements than the storage has (rows repeated by a stride of 0) is refused too:
    /// copied, it could be of any size.
    func problem(in count: Int) -> String? {
        guard shape.count <= 64 else { return "has more than 64 dimensions" }
        guard shape.count == strides.count else { return "has a stride too many or too few" }
        guard offset >= 0, (shape + strides).allSatisfy({ $0 >= 0 }) else {
            return "has a negative number"
        }
        guard let size = SafetensorsDType.uint8.byteCount(shape: shape) else {
            return "is too large"
        }
        if size == 0 { return nil }
        guard size <= count else { return "has more elements than its storage, \(count)" }
        var last = offset
        for (dimension, stride) in zip(shape, strides) {
            let (distance, overflow) = stride.multipliedReportingOverflow(by: dimension - 1)
            let (sum, carry) = last.addingReportingOverflow(distance)
            guard !overflow, !carry else { return "reaches beyond its storage of \(count)" }
            last = sum
        }
        return last < count ? nil : "reaches element \(last) of a storage of \(count)"
    }

    /// True if the elements follow each other in row-major order.
    var isContiguous: Bool {
        var expected = 1
        for (dimension, stride) in zip(shape, strides).reversed() where dimension != 1 {
            if stride != expected { return false }
            expected *= dimension
        }
        return true
    }
}
