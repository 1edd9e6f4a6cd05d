/// A token that is searched for in the text itself, before any other step.
///
/// Special tokens are such tokens, and so are those added to a vocabulary after training.
struct AddedToken: Sendable, Equatable {
    var content: String
    var id: Int32
    /// True if the white space before it belongs to it (BART's `<mask>`).
    var leftStrip = false
    /// True if the white space after it belongs to it.
    var rightStrip = false
    /// True if it is only found where no letter, digit or mark touches it.
    var singleWord = false
    /// True if it is searched for in normalised text.
    var normalized = false
    /// True if decoding can leave it out.
    var special = true
}

/// The added tokens of a tokenizer and the search for them.
///
/// Tokens that are not `normalized` are searched for in the original text. The text between them is
/// normalised, and the other tokens are searched for in the result.
///
/// Source: `AddedVocabulary` of `tokenizers` 0.20.
struct AddedTokens: Sendable, Equatable {
    /// All tokens, the longest first.
    let tokens: [AddedToken]
    /// The search in the original text.
    let inText: AddedTokenSearch
    /// The search in normalised text.
    let inNormalizedText: AddedTokenSearch

    /// - Parameter normalize: The normalisation of the text before the second search. It is applied
    ///   to the tokens of that search too.
    init(_ tokens: [AddedToken], normalize: ([UInt8]) -> [UInt8] = { $0 }) {
        let ordered = Self.ordered(tokens)
        self.tokens = ordered
        inText = AddedTokenSearch(
            ordered.filter { !$0.normalized }.map { ($0, Array($0.content.utf8)) })
        inNormalizedText = AddedTokenSearch(
            ordered.filter(\.normalized).map { ($0, normalize(Array($0.content.utf8))) })
    }

    /// The tokens sorted by length, the longest first, and then by id.
    static func ordered(_ tokens: [AddedToken]) -> [AddedToken] {
        tokens.filter { !$0.content.isEmpty }.sorted { lhs, rhs in
            let (left, right) = (lhs.content.utf8.count, rhs.content.utf8.count)
            return left != right ? left > right : lhs.id < rhs.id
        }
    }

    static func == (lhs: Self, rhs: Self) -> Bool { lhs.tokens == rhs.tokens }

    /// Runs both searches one after the other, for tokenizers that normalise nothing.
    @inline(__always)
    func forEachPiece(
        in text: UnsafeBufferPointer<UInt8>, _ body: (AddedTokenSearch.Piece) -> Void
    ) {
        guard !inNormalizedText.isEmpty else { return inText.forEachPiece(in: text, body) }
        guard !inText.isEmpty else { return inNormalizedText.forEachPiece(in: text, body) }
        inText.forEachPiece(in: text) { piece in
            guard case .text(let range) = piece else { return body(piece) }
            inNormalizedText.forEachPiece(in: UnsafeBufferPointer(rebasing: text[range])) { part in
                switch part {
                case .text(let inner):
                    let start = range.lowerBound
                    body(.text(start + inner.lowerBound..<start + inner.upperBound))
                case .token: body(part)
                }
            }
        }
    }
}

/// The search for some of the added tokens: leftmost, longest, no overlaps.
struct AddedTokenSearch: Sendable {
    /// A stretch of text or an added token.
    enum Piece {
        case text(Range<Int>)
        case token(Int32)
    }

    private let tokens: [AddedToken]
    private let trie: ByteTrie
    private let isFirstByte: [Bool]

    init(_ tokens: [(token: AddedToken, pattern: [UInt8])]) {
        let usable = tokens.filter { !$0.pattern.isEmpty }
        self.tokens = usable.map(\.token)
        trie = ByteTrie(usable.enumerated().map { (key: $1.pattern, id: Int32($0)) })
        var first = [Bool](repeating: false, count: 256)
        for (_, pattern) in usable { first[Int(pattern[0])] = true }
        isFirstByte = first
    }

    var isEmpty: Bool { tokens.isEmpty }

    /// Calls `body` with the stretches of text and the added tokens, in order. No stretch is empty.
    @inline(__always)
    func forEachPiece(in text: UnsafeBufferPointer<UInt8>, _ body: (Piece) -> Void) {
        var start = 0
        var index = 0
        isFirstByte.withUnsafeBufferPointer { isFirstByte in
            while index < text.count {
                guard isFirstByte[Int(text[index])],
                    let match = trie.longestMatch(in: text, at: index)
                else {
                    index += 1
                    continue
                }
                let token = tokens[Int(match.id)]
                let first = index
                index = match.end  // also where the match does not count
                if token.singleWord, Self.touchesWord(text, first, match.end) { continue }
                let textEnd =
                    token.leftStrip ? max(start, Self.endWithoutSpace(text, first)) : first
                if start < textEnd { body(.text(start..<textEnd)) }
                body(.token(token.id))
                start = token.rightStrip ? Self.startWithoutSpace(text, match.end) : match.end
            }
        }
        if start < text.count { body(.text(start..<text.count)) }
    }

    private static func touchesWord(
        _ text: UnsafeBufferPointer<UInt8>, _ start: Int, _ end: Int
    ) -> Bool {
        func isWord(_ index: Int) -> Bool {
            var index = index
            return ScalarClass.isWord(UTF8Scalar.next(in: text, at: &index))
        }
        return start > 0 && isWord(UTF8Scalar.start(in: text, before: start))
            || end < text.count && isWord(end)
    }

    private static func isSpace(_ text: UnsafeBufferPointer<UInt8>, _ index: inout Int) -> Bool {
        let scalar = UTF8Scalar.next(in: text, at: &index)
        return ScalarClass.of(scalar, in: ScalarClass.table).contains(.whitespace)
    }

    private static func endWithoutSpace(_ text: UnsafeBufferPointer<UInt8>, _ end: Int) -> Int {
        var end = end
        while end > 0 {
            let before = UTF8Scalar.start(in: text, before: end)
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
