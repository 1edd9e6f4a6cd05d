/// Puts documents and questions together as the generator reads them.
struct ContextBuilder: Sendable {
    private let tokenizer: any Tokenizer
    /// The special tokens before and after a sequence.
    private let opening: [Int32]
    private let closing: [Int32]

    init(_ tokenizer: any Tokenizer) {
        self.tokenizer = tokenizer
        // The special tokens of a sequence are what encoding adds around the ids of a text.
        let (bare, whole) = (tokenizer.ids(of: "a"), tokenizer.encode("a").ids)
        let start =
            whole.indices.first { whole[$0...].starts(with: bare) && !bare.isEmpty } ?? whole.count
        opening = Array(whole[..<start])
        closing = Array(whole[min(start + bare.count, whole.count)...])
    }

    /// The ids of `title / text // question`, cut to the configuration's length.
    func ids(_ passage: Passage, _ question: String, _ config: RagConfiguration) -> [Int32] {
        let document = config.prefix + title(of: passage) + config.titleSep + passage.text
        let limit = config.maxCombinedLength
        if config.compatibility.truncatesQuestionFirst {
            let text = (document + config.docSep + question).replacing("  ", with: " ")
            return tokenizer.encode(text, maxLength: limit).ids
        }
        // The end of the document is lost before anything of the question.
        let room = max(0, limit - opening.count - closing.count)
        let tail = tokenizer.ids(of: config.docSep + question).prefix(room)
        let head = tokenizer.ids(of: document).prefix(room - tail.count)
        return opening + head + tail + closing
    }

    /// The title without one quotation mark at either end, as the reference strips them.
    private func title(of passage: Passage) -> String {
        var title = Substring(passage.title)
        if title.hasPrefix("\"") { title.removeFirst() }
        if title.hasSuffix("\"") { title.removeLast() }
        return String(title)
    }

    /// The ids of a target with special tokens, cut to `maxLength`.
    func target(_ text: String, _ config: RagConfiguration) -> [Int32] {
        let spaced =
            config.compatibility.omitsSpaceBeforeTarget || text.hasPrefix(" ") ? text : " " + text
        return tokenizer.encode(spaced, maxLength: config.maxTargetLength).ids
    }
}
