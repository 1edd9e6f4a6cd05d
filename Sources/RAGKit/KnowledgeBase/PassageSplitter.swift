/// Cuts texts into passages of a number of words, one after the other without overlap.
public struct PassageSplitter: Sendable, Hashable {
    /// The separator of words.
    public enum Mode: Sendable, Hashable {
        /// Any run of white space (Unicode); passages have single spaces between their words.
        case whitespace
        /// Each single ASCII space, as the reference does: two spaces have an empty word between
        /// them, line breaks and tabs separate nothing, and a text of `n` words and a space at the
        /// end gives a last passage that is empty.
        case huggingFace
    }

    /// Words per passage; nil keeps each text whole.
    public var wordsPerPassage: Int?
    public var mode: Mode

    /// - Precondition: `wordsPerPassage` is positive.
    public init(wordsPerPassage: Int? = 100, mode: Mode = .whitespace) {
        precondition(wordsPerPassage ?? 1 > 0, "\(wordsPerPassage ?? 0) words per passage")
        self.wordsPerPassage = wordsPerPassage
        self.mode = mode
    }

    /// The passages of a text in order.
    ///
    /// - Returns: Nothing for a text that is empty or white space; in mode ``Mode/huggingFace`` any
    ///   text gives at least one passage, and a passage may be empty.
    public func passages(of text: String) -> [String] {
        var text = text
        return text.withUTF8 { bytes in
            switch mode {
            case .whitespace: whitespacePassages(bytes)
            case .huggingFace: huggingFacePassages(bytes)
            }
        }
    }

    private func whitespacePassages(_ bytes: UnsafeBufferPointer<UInt8>) -> [String] {
        guard let wordsPerPassage else {
            let isBlank = WhiteSpace.skip(in: bytes, from: 0) == bytes.count
            return isBlank ? [] : [String(decoding: bytes, as: UTF8.self)]
        }
        var passages: [String] = []
        var passage: [UInt8] = []
        var words = 0
        var position = WhiteSpace.skip(in: bytes, from: 0)
        while position < bytes.count {
            var end = position
            while end < bytes.count, WhiteSpace.length(in: bytes, at: end) == 0 { end += 1 }
            if words == wordsPerPassage {
                passages.append(String(decoding: passage, as: UTF8.self))
                passage.removeAll(keepingCapacity: true)
                words = 0
            }
            if words > 0 { passage.append(0x20) }
            passage.append(contentsOf: bytes[position..<end])
            words += 1
            position = WhiteSpace.skip(in: bytes, from: end)
        }
        if words > 0 { passages.append(String(decoding: passage, as: UTF8.self)) }
        return passages
    }

    private func huggingFacePassages(_ bytes: UnsafeBufferPointer<UInt8>) -> [String] {
        guard let wordsPerPassage else { return [String(decoding: bytes, as: UTF8.self)] }
        var passages: [String] = []
        var start = 0
        var words = 0
        for position in 0...bytes.count {
            guard position == bytes.count || bytes[position] == 0x20 else { continue }
            words += 1
            if words == wordsPerPassage || position == bytes.count {
                let piece = WhiteSpace.strip(bytes, start..<position)
                passages.append(String(decoding: bytes[piece], as: UTF8.self))
                start = position + 1
                words = 0
            }
        }
        return passages
    }
}

/// White space as Python's `str.split()` and `str.strip()` see it: the Unicode property, and the
/// four ASCII separators U+001C to U+001F.
enum WhiteSpace {
    /// The bytes of the white space character at `position`, or 0 if there is none.
    static func length(in bytes: UnsafeBufferPointer<UInt8>, at position: Int) -> Int {
        let byte = bytes[position]
        if byte < 0x80 {
            return byte == 0x20 || (0x09...0x0D) ~= byte || (0x1C...0x1F) ~= byte ? 1 : 0
        }
        guard byte == 0xC2 || (0xE1...0xE3) ~= byte, position + 1 < bytes.count else { return 0 }
        let second = bytes[position + 1]
        if byte == 0xC2 { return second == 0x85 || second == 0xA0 ? 2 : 0 }  // U+0085, U+00A0
        guard position + 2 < bytes.count else { return 0 }
        switch (byte, second, bytes[position + 2]) {
        case (0xE1, 0x9A, 0x80): return 3  // U+1680
        case (0xE2, 0x80, 0x80...0x8A): return 3  // U+2000 to U+200A
        case (0xE2, 0x80, 0xA8), (0xE2, 0x80, 0xA9): return 3  // U+2028, U+2029
        case (0xE2, 0x80, 0xAF): return 3  // U+202F
        case (0xE2, 0x81, 0x9F): return 3  // U+205F
        case (0xE3, 0x80, 0x80): return 3  // U+3000
        default: return 0
        }
    }

    /// The first position from `position` on that is not white space.
    static func skip(in bytes: UnsafeBufferPointer<UInt8>, from position: Int) -> Int {
        var position = position
        while position < bytes.count {
            let length = length(in: bytes, at: position)
            if length == 0 { break }
            position += length
        }
        return position
    }

    /// The range without white space at its ends.
    static func strip(_ bytes: UnsafeBufferPointer<UInt8>, _ range: Range<Int>) -> Range<Int> {
        let part = UnsafeBufferPointer(rebasing: bytes[range])
        let start = skip(in: part, from: 0)
        var end = start
        var position = start
        while position < part.count {
            let length = length(in: part, at: position)
            position += max(length, 1)
            if length == 0 { end = position }
        }
        return range.lowerBound + start..<range.lowerBound + end
    }
}
