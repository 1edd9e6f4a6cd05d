import RAGKit

/// Finds what is worth hiding in a text: words that say something about the world.
public protocol SpanFinder: Sendable {
    func spans(in text: String) -> [Range<String.Index>]
}

/// Dates, years and other numbers.
public struct NumbersAndDates: SpanFinder {
    public init() {}

    public func spans(in text: String) -> [Range<String.Index>] {
        let month =
            /(?:\d{1,2} )?(?:January|February|March|April|May|June|July|August|September|October|November|December)(?: \d{1,2})?(?:,? \d{3,4})|\d+(?:[.,]\d+)*/
        return text.ranges(of: month)
    }
}

/// Runs of words with a capital letter: names, mostly. A sentence's first word alone is none.
public struct CapitalizedRuns: SpanFinder {
    public init() {}

    public func spans(in text: String) -> [Range<String.Index>] {
        text.ranges(of: /\b[A-Z][\w'-]*(?: [A-Z][\w'-]*)*/).compactMap { run in
            let before = text[..<run.lowerBound].last { !$0.isWhitespace }
            guard before == nil || before == "." else { return run }
            guard let space = text[run].firstIndex(of: " ") else { return nil }
            return text.index(after: space)..<run.upperBound
        }
    }
}

/// Strings given beforehand, such as those a tagger found.
public struct GivenSpans: SpanFinder {
    public let strings: [String]

    public init(_ strings: [String]) { self.strings = strings }

    public func spans(in text: String) -> [Range<String.Index>] {
        strings.flatMap { text.ranges(of: $0) }.sorted { $0.lowerBound < $1.lowerBound }
    }
}

/// A piece of text, and the passage it was taken from.
public struct Chunk: Sendable {
    /// The subject of the text: read, never hidden.
    public var title: String
    public var text: String
    public var source: Passage

    public init(title: String, text: String, source: Passage) {
        (self.title, self.text, self.source) = (title, text, source)
    }

    /// The sentences of passages, each a chunk under its passage's title.
    public static func sentences(of passages: [Passage]) -> [Chunk] {
        passages.flatMap { passage in
            passage.text.split(separator: ". ").map { sentence in
                let text = sentence.hasSuffix(".") ? String(sentence) : sentence + "."
                return Chunk(title: passage.title, text: text, source: passage)
            }
        }
    }
}

/// A text with some of its words hidden.
public struct MaskedText: Sendable {
    /// The ids without special tokens around them, `[MASK]` in place of what is hidden.
    public let ids: [Int32]
    /// The hidden tokens, and their places in a sequence that begins with `[CLS]`.
    public let hidden: (positions: [Int], labels: [Int32])
    public let source: Passage

    /// Hides one of the spans that `finders` find, or where they find none a random run of one or
    /// two words.
    ///
    /// - Returns: nil for a text without words, or one too long to be read whole.
    public init?(
        _ chunk: Chunk, finders: [any SpanFinder], input: RealmInput,
        using generator: inout some RandomNumberGenerator
    ) {
        let salient = finders.flatMap { $0.spans(in: chunk.text) }
            .filter { !chunk.title.contains(chunk.text[$0]) }
        let words = chunk.text.ranges(of: /\w+/)
        let random = words.indices.randomElement(using: &generator).map { first in
            let last = min(words.count - 1, first + Int.random(in: 0...1, using: &generator))
            return words[first].lowerBound..<words[last].upperBound
        }
        guard let span = salient.randomElement(using: &generator) ?? random else { return nil }
        self.init(chunk, hiding: [span], input: input)
    }

    /// Hides `spans` of a chunk's text: in order, apart from each other, at word boundaries, where
    /// pieces tokenize like the whole.
    ///
    /// - Returns: nil if the text is too long to be read whole.
    public init?(_ chunk: Chunk, hiding spans: [Range<String.Index>], input: RealmInput) {
        var ids = input.tokenizer.ids(of: chunk.title + ": ")
        var hidden: (positions: [Int], labels: [Int32]) = ([], [])
        var next = chunk.text.startIndex
        for span in spans {
            ids += input.tokenizer.ids(of: String(chunk.text[next..<span.lowerBound]))
            let labels = input.tokenizer.ids(of: String(chunk.text[span]))
            hidden.positions += (1...max(labels.count, 1)).map { ids.count + $0 }
            hidden.labels += labels
            ids += labels.map { _ in input.mask }
            next = span.upperBound
        }
        ids += input.tokenizer.ids(of: String(chunk.text[next...]))
        guard ids.count <= input.limit - 3, hidden.positions.count == hidden.labels.count,
            !hidden.labels.isEmpty
        else { return nil }
        self.ids = ids
        self.hidden = hidden
        source = chunk.source
    }
}
