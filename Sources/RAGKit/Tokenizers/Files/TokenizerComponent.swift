/// A part of a `tokenizer.json`: an object with a type.
///
/// Readers name the members that they know with `allow(_:)`. Others are errors, so that no setting
/// that changes ids is skipped.
struct TokenizerComponent {
    let file: String
    /// Its place in the file, such as `normalizer.normalizers[1]`.
    let path: String
    let type: String
    private let members: JSONObject

    /// - Throws: `TokenizerError` if `value` is not an object with a type.
    init(_ value: JSONValue, path: String, file: String) throws {
        guard let object = value.objectValue, let type = object["type"]?.stringValue else {
            throw TokenizerError.unsupported(
                file: file,
                reason: "\(path): expected an object with a 'type', found "
                    + value.summary)
        }
        (self.file, self.path, self.type, members) = (file, path, type, object)
    }

    /// - Parameter settings: An object whose type is known from elsewhere.
    init(type: String, settings: JSONObject, path: String, file: String) {
        (self.file, self.path, self.type, members) = (file, path, type, settings)
    }

    /// An error that names this part.
    func refusal(_ reason: String) -> TokenizerError {
        .unsupported(file: file, reason: "\(path) of type \(type): \(reason)")
    }

    func refuseType() -> TokenizerError {
        .unsupported(
            file: file, reason: "\(path) of type \(type), which is not known here")
    }

    /// - Throws: `TokenizerError` if it has members besides `type` and `keys`.
    func allow(_ keys: String...) throws {
        if let other = members.keys.first(where: { $0 != "type" && !keys.contains($0) }) {
            throw refusal("'\(other)' is not known")
        }
    }

    /// A member; `nil` if it is missing or null.
    subscript(key: String) -> JSONValue? {
        guard let value = members[key], !value.isNull else { return nil }
        return value
    }

    func bool(_ key: String) throws -> Bool? { try member(key, "true or false", \.boolValue) }
    func string(_ key: String) throws -> String? { try member(key, "a string", \.stringValue) }
    func int(_ key: String) throws -> Int? { try member(key, "a whole number", \.intValue) }
    func object(_ key: String) throws -> JSONObject? { try member(key, "an object", \.objectValue) }

    /// The elements of a required array.
    func array(_ key: String) throws -> [JSONValue] {
        guard let array = try member(key, "an array", \.arrayValue) else {
            throw refusal("'\(key)' is missing")
        }
        return array
    }

    /// The parts of a sequence.
    func parts(_ key: String) throws -> [TokenizerComponent] {
        try array(key).enumerated().map {
            try TokenizerComponent($1, path: "\(path).\(key)[\($0)]", file: file)
        }
    }

    /// Throws if a setting has another value than the only one that is supported. It may be
    /// missing.
    func require(_ key: String, _ expected: JSONValue) throws {
        if let found = self[key], found != expected {
            throw refusal("'\(key)' is \(found.summary), only \(expected.summary) is known")
        }
    }

    private func member<Value>(
        _ key: String, _ expected: String, _ convert: (JSONValue) -> Value?
    ) throws -> Value? {
        guard let value = self[key] else { return nil }
        guard let converted = convert(value) else {
            throw refusal("'\(key)' must be \(expected), found \(value.summary)")
        }
        return converted
    }
}
