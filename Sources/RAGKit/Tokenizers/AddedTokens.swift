/// A token that is matched in the text itself, before any other step: special tokens, and tokens
/// added to a vocabulary after it was made.
struct AddedToken: Sendable, Equatable {
    var content: String
    var id: Int32
    /// Takes the white space before it along (BART's `<mask>`).
    var leftStrip = false
    /// Takes the white space after it along.
    var rightStrip = false
    /// Whether it is looked for in normalised text. Without meaning where nothing is normalised.
    var normalized = false
    /// Whether decoding can leave it out.
    var special = true
}

/// The added tokens of a tokenizer, and the search for them.
struct AddedTokens: Sendable, Equatable {
    let tokens: [AddedToken]
    private let contents: [[UInt8]]
    private let isFirstByte: [Bool]

    /// One stretch of text, or one added token.
    enum Piece {
        case text(Range<Int>)
        case token(Int32)
    }

    init(_ tokens: [AddedToken]) {
        let usable = tokens.filter { !$0.content.isEmpty }
        // The longest first, so that the first one found at a place is the longest there.
        let ordered = usable.sorted { lhs, rhs in
            let (left, right) = (lhs.content.utf8.count, rhs.content.utf8.count)
            return left != right ? left > right : lhs.id < rhs.id
        }
        self.tokens = ordered
        contents = ordered.map { Array($0.content.utf8) }
        var first = [Bool](repeating: false, count: 256)
        for content in contents { first[Int(content[0])] = true }
        isFirstByte = first
    }

    /// Calls `body` with the stretches of text and the added tokens, in order. No stretch is empty.
    ///
    /// Source: `AddedVocabulary::find_matches` of `tokenizers`: leftmost, longest, no overlaps.
    @inline(__always)
    func forEachPiece(in text: UnsafeBufferPointer<UInt8>, _ body: (Piece) -> Void) {
        var start = 0
        var index = 0
        isFirstByte.withUnsafeBufferPointer { isFirstByte in
            while index < text.count {
                guard isFirstByte[Int(text[index])], let match = match(in: text, at: index) else {
                    index += 1
                    continue
                }
                let token = tokens[match]
                var end = index + contents[match].count
                let textEnd = token.leftStrip ? Self.endWithoutSpace(text, start, index) : index
                if token.rightStrip { end = Self.startWithoutSpace(text, end) }
                if start < textEnd { body(.text(start..<textEnd)) }
                body(.token(token.id))
                start = end
                index = end
            }
        }
        if start < text.count { body(.text(start..<text.count)) }
    }

    private func match(in text: UnsafeBufferPointer<UInt8>, at index: Int) -> Int? {
        contents.firstIndex { content in
            content.count <= text.count - index
                && content.indices.allSatisfy { content[$0] == text[index + $0] }
        }
    }

    private static func isSpace(_ text: UnsafeBufferPointer<UInt8>, _ index: inout Int) -> Bool {
        let scalar = UTF8Scalar.next(in: text, at: &index)
        return ScalarClass.of(scalar, in: ScalarClass.table).contains(.whitespace)
    }

    private static func endWithoutSpace(
        _ text: UnsafeBufferPointer<UInt8>, _ start: Int, _ end: Int
    ) -> Int {
        var end = end
        while end > start {
            var before = end - 1
            while before > start, text[before] & 0xC0 == 0x80 { before -= 1 }
            var after = before
            guard isSpace(text, &after) else { break }
            end = before
        }
        return end
    }

    private static func startWithoutSpace(_ text: UnsafeBufferPointer<UInt8>, _ start: Int) -> Int {
        var start = start
        while start < text.count {
            var after = start
            guard isSpace(text, &after) else { break }
            start = after
        }
        return start
    }
}
