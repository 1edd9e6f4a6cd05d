/// One part of a `tokenizer.json`: an object with a type. What is not asked for must not be there, so
/// that nothing is passed over that would change ids.
struct TokenizerComponent {
    let file: String
    /// Where it stands, such as `normalizer.normalizers[1]`.
    let path: String
    let type: String
    private let members: JSONObject

    /// - Throws: `TokenizerError` if `value` is no object with a type.
    init(_ value: JSONValue, path: String, file: String) throws {
        guard let object = value.objectValue, let type = object["type"]?.stringValue else {
            throw TokenizerError.unsupported(
                file: file,
                reason: "\(path): expected an object with a 'type', found "
                    + value.summary)
        }
        (self.file, self.path, self.type, members) = (file, path, type, object)
    }

    /// - Parameter settings: An object whose type is known, or left out as in older files.
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

    /// - Throws: `TokenizerError` if there is a member besides `type` and `keys`.
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

    /// The elements of an array that must be there.
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

    /// Fails unless a setting has the only value that is understood, or is left out.
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
