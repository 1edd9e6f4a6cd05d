/// A JSON value of any shape, for configuration files whose unknown keys must survive a re-save.
///
/// ```swift
/// var config = try JSONValue(contentsOf: folder.appendingPathComponent("config.json"))
/// let layers = try config.int("num_hidden_layers") ?? 12
/// config["dropout"] = 0.2
/// try config.write(to: folder.appendingPathComponent("config.json"))
/// ```
public enum JSONValue: Sendable, Equatable {
    case null
    case bool(Bool)
    /// A number written without fraction and exponent.
    case int(Int)
    /// Any other number; may be NaN or infinite, which is written as `null`.
    case double(Double)
    case string(String)
    case array([JSONValue])
    case object(JSONObject)
}

/// The members of a JSON object in the order of the file. Equal if keys and values are, in any order.
public struct JSONObject: Sendable, Equatable {
    /// The keys in order.
    public private(set) var keys: [String] = []
    private var values: [String: JSONValue] = [:]

    public init() {}

    /// The number of members.
    public var count: Int { keys.count }

    /// The value of a key; nil if there is none. A new key goes to the end, nil removes a key.
    public subscript(key: String) -> JSONValue? {
        get { values[key] }
        set {
            guard let newValue else {
                if values.removeValue(forKey: key) != nil { keys.removeAll { $0 == key } }
                return
            }
            if values.updateValue(newValue, forKey: key) == nil { keys.append(key) }
        }
    }

    public static func == (first: JSONObject, second: JSONObject) -> Bool {
        first.values == second.values
    }
}

extension JSONObject: Sequence, ExpressibleByDictionaryLiteral {
    public func makeIterator() -> some IteratorProtocol<(key: String, value: JSONValue)> {
        keys.lazy.map { (key: $0, value: values[$0] ?? .null) }.makeIterator()
    }

    /// The last value wins if a key is repeated.
    public init(dictionaryLiteral elements: (String, JSONValue)...) {
        for (key, value) in elements { self[key] = value }
    }
}

extension JSONValue: ExpressibleByNilLiteral, ExpressibleByBooleanLiteral,
    ExpressibleByIntegerLiteral, ExpressibleByFloatLiteral, ExpressibleByStringLiteral,
    ExpressibleByArrayLiteral, ExpressibleByDictionaryLiteral
{
    public init(nilLiteral: ()) { self = .null }
    public init(booleanLiteral value: Bool) { self = .bool(value) }
    public init(integerLiteral value: Int) { self = .int(value) }
    public init(floatLiteral value: Double) { self = .double(value) }
    public init(stringLiteral value: String) { self = .string(value) }
    public init(arrayLiteral elements: JSONValue...) { self = .array(elements) }
    public init(dictionaryLiteral elements: (String, JSONValue)...) {
        var object = JSONObject()
        for (key, value) in elements { object[key] = value }
        self = .object(object)
    }
}

// MARK: - Looking inside

extension JSONValue {
    /// The member of an object; nil if this is no object or has no such key.
    ///
    /// Setting a member of a value that is no object makes it an object of this member alone.
    public subscript(key: String) -> JSONValue? {
        get { objectValue?[key] }
        set {
            var object = objectValue ?? JSONObject()
            object[key] = newValue
            self = .object(object)
        }
    }

    public var isNull: Bool { self == .null }

    public var boolValue: Bool? {
        if case .bool(let value) = self { value } else { nil }
    }

    /// The whole number; nil for `1.0`, which is not written as one.
    public var intValue: Int? {
        if case .int(let value) = self { value } else { nil }
    }

    /// The number, whole or not.
    public var doubleValue: Double? {
        switch self {
        case .int(let value): Double(value)
        case .double(let value): value
        default: nil
        }
    }

    public var stringValue: String? {
        if case .string(let value) = self { value } else { nil }
    }

    public var arrayValue: [JSONValue]? {
        if case .array(let value) = self { value } else { nil }
    }

    public var objectValue: JSONObject? {
        if case .object(let value) = self { value } else { nil }
    }

    /// The Boolean at `key`; nil if the key is missing or null.
    ///
    /// - Throws: ``JSONError/wrongType(key:expected:found:)``; so do the following ones.
    public func bool(_ key: String) throws -> Bool? {
        try member(key, "true or false", \.boolValue)
    }

    /// The whole number at `key`; nil if the key is missing or null.
    public func int(_ key: String) throws -> Int? {
        try member(key, "a whole number", \.intValue)
    }

    /// The number at `key`; nil if the key is missing or null.
    public func double(_ key: String) throws -> Double? {
        try member(key, "a number", \.doubleValue)
    }

    /// The text at `key`; nil if the key is missing or null.
    public func string(_ key: String) throws -> String? {
        try member(key, "a string", \.stringValue)
    }

    /// The array at `key`; nil if the key is missing or null.
    public func array(_ key: String) throws -> [JSONValue]? {
        try member(key, "an array", \.arrayValue)
    }

    /// The object at `key`; nil if the key is missing or null.
    public func object(_ key: String) throws -> JSONObject? {
        try member(key, "an object", \.objectValue)
    }

    private func member<Value>(
        _ key: String, _ expected: String, _ convert: (JSONValue) -> Value?
    ) throws -> Value? {
        guard let member = self[key], !member.isNull else { return nil }
        guard let value = convert(member) else {
            throw JSONError.wrongType(key: key, expected: expected, found: member.summary)
        }
        return value
    }

    /// The value in few words, for messages.
    var summary: String {
        switch self {
        case .array(let elements): return "an array of \(elements.count)"
        case .object(let object): return "an object of \(object.count) members"
        default:
            let text = text(indent: nil)
            return text.count > 60 ? text.prefix(60) + "…" : text
        }
    }
}

/// A JSON text that cannot be read, or holds something else than expected.
public enum JSONError: Error, Equatable, CustomStringConvertible {
    /// Line and column count from 1; the column counts bytes.
    case syntax(file: String, line: Int, column: Int, reason: String)
    case wrongType(key: String, expected: String, found: String)

    public var description: String {
        switch self {
        case .syntax(let file, let line, let column, let reason):
            "\(file):\(line):\(column): not valid JSON: \(reason)"
        case .wrongType(let key, let expected, let found):
            "'\(key)' must be \(expected), found \(found)"
        }
    }
}
