extension TokenizerJSON {
    /// The special tokens that the post-processor puts around one text and around a pair.
    func template() throws -> SequenceTemplate {
        guard let part = try component("post_processor") else { return SequenceTemplate() }
        guard part.type == "Sequence" else { return try template(part) }
        try part.allow("processors")
        // The byte-level one moves offsets only.
        let others = try part.parts("processors").filter { $0.type != "ByteLevel" }
        guard others.count <= 1 else { throw part.refusal("more than one part adds tokens") }
        return try others.first.map(template) ?? SequenceTemplate()
    }

    private func template(_ part: TokenizerComponent) throws -> SequenceTemplate {
        switch part.type {
        case "ByteLevel":
            try part.allow("add_prefix_space", "trim_offsets", "use_regex")
            return SequenceTemplate()
        case "BertProcessing":
            try part.allow("sep", "cls")
            let (sep, cls) = (try marker(part, "sep"), try marker(part, "cls"))
            return SequenceTemplate(prefix: [cls], separator: [sep], suffix: [sep])
        case "RobertaProcessing":
            try part.allow("sep", "cls", "trim_offsets", "add_prefix_space")
            let (sep, cls) = (try marker(part, "sep"), try marker(part, "cls"))
            return SequenceTemplate(
                prefix: [cls], separator: [sep, sep], suffix: [sep], secondType: 0)
        case "TemplateProcessing": return try written(part)
        default: throw part.refuseType()
        }
    }

    /// The id of a pair of token and id.
    private func marker(_ part: TokenizerComponent, _ key: String) throws -> Int32 {
        let pair = try part.array(key)
        guard pair.count == 2, pair[0].stringValue != nil, let id = pair[1].intValue else {
            throw part.refusal("'\(key)' must be a token and its id")
        }
        return try checked(id, part, key)
    }

    private func checked(_ id: Int, _ part: TokenizerComponent, _ name: String) throws -> Int32 {
        let highest =
            [
                model.entries?.map(\.id).max(), model.pieces.map { Int32($0.count - 1) },
                addedTokens.map(\.id).max(),
            ].compactMap { $0 }.max() ?? -1
        guard id >= 0, id <= highest else {
            throw part.refusal("the id \(id) of '\(name)' is outside the vocabulary")
        }
        return Int32(id)
    }

    // MARK: - TemplateProcessing

    private enum Piece: Equatable {
        case text(isSecond: Bool, type: Int)
        case special(ids: [Int32], type: Int)
    }

    /// Reads a template of a prefix, the texts with a separator between them, and a suffix.
    private func written(_ part: TokenizerComponent) throws -> SequenceTemplate {
        try part.allow("single", "pair", "special_tokens")
        let specials = try part.object("special_tokens") ?? [:]
        let single = try pieces(part, "single", specials)
        let pair = try pieces(part, "pair", specials)
        let shape = part.refusal(
            "only prefix A suffix, and prefix A separator B suffix with the suffix of B's type, "
                + "are known")
        guard let text = single.firstIndex(of: .text(isSecond: false, type: 0)),
            let first = pair.firstIndex(of: .text(isSecond: false, type: 0)),
            let second = pair.firstIndex(where: { piece in
                if case .text(true, _) = piece { true } else { false }
            }), first < second, case .text(true, let secondType) = pair[second]
        else { throw shape }

        func ids(_ pieces: ArraySlice<Piece>, type: Int) throws -> [Int32] {
            try pieces.flatMap { piece in
                guard case .special(let ids, type) = piece else { throw shape }
                return ids
            }
        }
        let template = SequenceTemplate(
            prefix: try ids(pair[..<first], type: 0),
            separator: try ids(pair[(first + 1)..<second], type: 0),
            suffix: try ids(pair[(second + 1)...], type: secondType),
            secondType: Int32(secondType))
        guard try ids(single[..<text], type: 0) == template.prefix,
            try ids(single[(text + 1)...], type: 0) == template.suffix
        else { throw shape }
        return template
    }

    private func pieces(
        _ part: TokenizerComponent, _ key: String, _ specials: JSONObject
    ) throws -> [Piece] {
        try part.array(key).map { value in
            guard let object = value.objectValue, object.count == 1, let name = object.keys.first,
                let id = object[name]?["id"]?.stringValue,
                let type = object[name]?["type_id"]?.intValue, 0...1 ~= type
            else { throw part.refusal("'\(key)' holds \(value.summary)") }
            switch (name, id) {
            case ("Sequence", "A"): return .text(isSecond: false, type: type)
            case ("Sequence", "B"): return .text(isSecond: true, type: type)
            case ("SpecialToken", _):
                guard let ids = specials[id]?["ids"]?.arrayValue else {
                    throw part.refusal("'\(key)' uses '\(id)', which special_tokens lacks")
                }
                return .special(
                    ids: try ids.map { value in
                        guard let number = value.intValue else {
                            throw part.refusal("an id of '\(id)' is \(value.summary)")
                        }
                        return try checked(number, part, id)
                    }, type: type)
            default: throw part.refusal("'\(key)' holds \(value.summary)")
            }
        }
    }
}
