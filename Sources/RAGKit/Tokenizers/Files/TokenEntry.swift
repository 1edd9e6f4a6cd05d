/// A token in a configuration: its text alone, or an object that says how to match it.
struct TokenEntry: Sendable, Equatable {
    var content: String
    /// The rules for matching; `nil` if the entry is text alone.
    var flags: Flags?

    struct Flags: Sendable, Equatable {
        var leftStrip = false
        var rightStrip = false
        var singleWord = false
        var normalized = false
        var special: Bool?
    }

    init(_ content: String, flags: Flags? = nil) {
        self.content = content
        self.flags = flags
    }

    init(_ token: AddedToken) {
        self.init(
            token.content,
            flags: Flags(
                leftStrip: token.leftStrip, rightStrip: token.rightStrip,
                singleWord: token.singleWord, normalized: token.normalized,
                special: token.special))
    }

    /// - Parameters:
    ///   - path: The entry's place in its file, for errors.
    ///   - file: The file, for errors.
    init(_ json: JSONValue, path: String, file: String) throws {
        if let content = json.stringValue {
            self.init(content)
            return
        }
        func refuse(_ key: String, _ expected: String, _ found: JSONValue?) -> TokenizerError {
            .unreadable(
                file: file,
                reason: "'\(path)\(key)' must be \(expected), found \(found?.summary ?? "nothing")")
        }
        guard json.objectValue != nil else { throw refuse("", "a string or an object", json) }
        guard let content = json["content"]?.stringValue else {
            throw refuse(".content", "a string", json["content"])
        }
        func flag(_ key: String) throws -> Bool? {
            guard let value = json[key], !value.isNull else { return nil }
            guard let flag = value.boolValue else {
                throw refuse(".\(key)", "true or false", value)
            }
            return flag
        }
        self.init(
            content,
            flags: Flags(
                leftStrip: try flag("lstrip") ?? false, rightStrip: try flag("rstrip") ?? false,
                singleWord: try flag("single_word") ?? false,
                normalized: try flag("normalized") ?? false, special: try flag("special")))
    }

    var json: JSONValue {
        guard let flags else { return .string(content) }
        var json: JSONValue = [
            "content": .string(content), "lstrip": .bool(flags.leftStrip),
            "normalized": .bool(flags.normalized), "rstrip": .bool(flags.rightStrip),
            "single_word": .bool(flags.singleWord),
        ]
        if let special = flags.special { json["special"] = .bool(special) }
        return json
    }
}

extension AddedToken {
    init(_ entry: TokenEntry, id: Int32, special: Bool) {
        self.init(
            content: entry.content, id: id, leftStrip: entry.flags?.leftStrip ?? false,
            rightStrip: entry.flags?.rightStrip ?? false,
            singleWord: entry.flags?.singleWord ?? false,
            normalized: entry.flags?.normalized ?? false, special: special)
    }
}
