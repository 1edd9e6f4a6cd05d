/// Cuts text into BERT's words.
///
/// Text is cleaned and, depending on the settings, spaced around ideographs, stripped of accents
/// and lower-cased. Then it is split at white space and around every punctuation mark.
///
/// Normalising and splitting happen in one pass over the UTF-8, word by word. ASCII takes one table
/// look-up per byte.
///
/// Source: `BertNormalizer` and `BertPreTokenizer` of `tokenizers` 0.20.
struct BertWordScanner: Sendable {
    /// The longest word that is spelled, in scalars as in the reference. Longer ones are unknown.
    static let longestWord = 100

    let spacesIdeographs: Bool
    let mapping: ScalarMapping?
    let stripsAccents: Bool
    let classes = ScalarClass.table
    /// The byte that each ASCII byte becomes in a word, or 0 if more must be known to tell.
    private let plain: [UInt8]

    init(lowercase: Bool, stripAccents: Bool, spacesIdeographs: Bool) {
        self.spacesIdeographs = spacesIdeographs
        stripsAccents = stripAccents
        mapping = ScalarMapping.shared(lowercase: lowercase, stripAccents: stripAccents)
        var plain = [UInt8](repeating: 0, count: 256)
        for byte in UInt8(0x21)..<0x7F where !ScalarClass.table[Int(byte)].contains(.punctuation) {
            let isUpper = UInt8(ascii: "A")...UInt8(ascii: "Z") ~= byte
            plain[Int(byte)] = lowercase && isUpper ? byte | 0x20 : byte
        }
        self.plain = plain
    }

    /// Calls `body` with each word in order. Words that are too long come without their end.
    @inline(__always)
    func forEachWord(
        in text: UnsafeBufferPointer<UInt8>,
        _ body: (_ word: UnsafeBufferPointer<UInt8>, _ isTooLong: Bool) -> Void
    ) {
        withUnsafeTemporaryAllocation(of: UInt8.self, capacity: WordBuffer.capacity) { storage in
            plain.withUnsafeBufferPointer { plain in
                var word = WordBuffer(storage: storage)
                var index = 0
                while index < text.count {
                    let byte = text[index]
                    let letter = plain[Int(byte)]
                    if letter != 0 {
                        word.append(ascii: letter)
                        index += 1
                    } else if byte == 0x20 {
                        word.flush(body)
                        index += 1
                    } else {
                        read(UTF8Scalar.next(in: text, at: &index), into: &word, body)
                    }
                }
                word.flush(body)
            }
        }
    }

    /// Adds a scalar other than plain ASCII to the word.
    private func read(
        _ scalar: UInt32, into word: inout WordBuffer,
        _ body: (UnsafeBufferPointer<UInt8>, Bool) -> Void
    ) {
        let kind = ScalarClass.of(scalar, in: classes)
        if kind.contains(.removed) || scalar == 0 { return }
        if kind.contains(.whitespace) { return word.flush(body) }
        if stripsAccents, kind.contains(.accent) { return }
        let isIdeograph = spacesIdeographs && kind.contains(.ideograph)
        if isIdeograph { word.flush(body) }
        if let mapped = mapping?(scalar) {
            // Stripping can uncover punctuation: "≠" is "=" with an overlay.
            mapped.withUnsafeBufferPointer { mapped in
                var index = 0
                while index < mapped.count {
                    let part = UTF8Scalar.next(in: mapped, at: &index)
                    append(part, ScalarClass.of(part, in: classes), to: &word, body)
                }
            }
        } else {
            append(scalar, kind, to: &word, body)
        }
        if isIdeograph { word.flush(body) }
    }

    @inline(__always)
    private func append(
        _ scalar: UInt32, _ kind: ScalarClass, to word: inout WordBuffer,
        _ body: (UnsafeBufferPointer<UInt8>, Bool) -> Void
    ) {
        if kind.contains(.punctuation) {
            word.flush(body)
            word.append(scalar)
            word.flush(body)
        } else if stripsAccents, kind.contains(.keptMark) {
            word.insert(mark: scalar, classes)
        } else {
            word.append(scalar)
        }
    }
}

/// The word being read.
private struct WordBuffer {
    /// The bytes of a word that is one scalar too long.
    static let capacity = 4 * (BertWordScanner.longestWord + 1)

    let storage: UnsafeMutableBufferPointer<UInt8>
    private var count = 0
    private var scalars = 0

    init(storage: UnsafeMutableBufferPointer<UInt8>) { self.storage = storage }

    private var isTooLong: Bool { scalars > BertWordScanner.longestWord }

    @inline(__always)
    mutating func append(ascii byte: UInt8) {
        if !isTooLong {
            storage[count] = byte
            count += 1
            scalars += 1
        }
    }

    mutating func append(_ scalar: UInt32) {
        guard !isTooLong else { return }
        UTF8Scalar.forEachByte(of: scalar) { append(byte: $0) }
        scalars += 1
    }

    @inline(__always)
    private mutating func append(byte: UInt8) {
        storage[count] = byte
        count += 1
    }

    /// Inserts a combining mark in canonical order among the marks at the word's end.
    mutating func insert(mark: UInt32, _ classes: [ScalarClass]) {
        guard !isTooLong else { return }
        var place = count
        while place > 0 {
            var start = place - 1
            while start > 0, storage[start] & 0xC0 == 0x80 { start -= 1 }
            var end = start
            let before = UTF8Scalar.next(in: UnsafeBufferPointer(storage), at: &end)
            guard ScalarClass.of(before, in: classes).contains(.keptMark),
                ScalarClass.order(of: before) > ScalarClass.order(of: mark)
            else { break }
            place = start
        }
        let tail = Array(storage[place..<count])
        count = place
        append(mark)
        for byte in tail { append(byte: byte) }
    }

    @inline(__always)
    mutating func flush(_ body: (UnsafeBufferPointer<UInt8>, Bool) -> Void) {
        guard count > 0 else { return }
        body(UnsafeBufferPointer(rebasing: storage[0..<count]), isTooLong)
        count = 0
        scalars = 0
    }
}
