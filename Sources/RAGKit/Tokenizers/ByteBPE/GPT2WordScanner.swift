/// Cuts text into GPT-2's words, exactly as this pattern does:
///
///     's|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+
///
/// The joined words are the text.
///
/// Source: GPT-2's `encoder.py` (Radford et al. 2019).
struct GPT2WordScanner: Sendable {
    private enum Kind: UInt8 {
        case other, letter, number, space
        case beyondASCII  // only in the table: look at the whole scalar
    }

    private let classes = ScalarClass.table
    private let kinds: [Kind]

    init() {
        kinds = (0..<256).map { byte in
            byte < 0x80 ? Self.kind(ScalarClass.table[byte]) : .beyondASCII
        }
    }

    @inline(__always)
    private static func kind(_ scalar: ScalarClass) -> Kind {
        scalar.contains(.letter)
            ? .letter
            : scalar.contains(.number) ? .number : scalar.contains(.whitespace) ? .space : .other
    }

    /// Calls `body` with the range of each word, in order.
    @inline(__always)
    func forEachWord(in text: UnsafeBufferPointer<UInt8>, _ body: (Range<Int>) -> Void) {
        kinds.withUnsafeBufferPointer { kinds in
            var start = 0
            while start < text.count {
                let end = wordEnd(text, start, kinds)
                body(start..<end)
                start = end
            }
        }
    }

    @inline(__always)
    private func wordEnd(
        _ text: UnsafeBufferPointer<UInt8>, _ start: Int, _ kinds: UnsafeBufferPointer<Kind>
    ) -> Int {
        if text[start] == UInt8(ascii: "'"), let end = contractionEnd(text, start) { return end }
        var index = start
        var kind = next(text, &index, kinds)
        if text[start] == 0x20, index < text.count {
            // One plain space goes with the word behind it.
            var behind = index
            let following = next(text, &behind, kinds)
            if following != .space { (index, kind) = (behind, following) }
        }
        guard kind == .space else { return runEnd(text, index, of: kind, kinds) }

        // White space: all of it at the end of the text, otherwise all but its last scalar, which
        // is left for the next word, unless that scalar is all there is.
        var last = start
        while index < text.count {
            var behind = index
            guard next(text, &behind, kinds) == .space else { return last > start ? last : index }
            last = index
            index = behind
        }
        return index
    }

    @inline(__always)
    private func runEnd(
        _ text: UnsafeBufferPointer<UInt8>, _ start: Int, of kind: Kind,
        _ kinds: UnsafeBufferPointer<Kind>
    ) -> Int {
        var index = start
        while index < text.count {
            var behind = index
            guard next(text, &behind, kinds) == kind else { break }
            index = behind
        }
        return index
    }

    /// The kind of the scalar at `index`, which is moved past it.
    @inline(__always)
    private func next(
        _ text: UnsafeBufferPointer<UInt8>, _ index: inout Int, _ kinds: UnsafeBufferPointer<Kind>
    ) -> Kind {
        let kind = kinds[Int(text[index])]
        guard kind == .beyondASCII else {
            index += 1
            return kind
        }
        return Self.kind(ScalarClass.of(UTF8Scalar.next(in: text, at: &index), in: classes))
    }

    private func contractionEnd(_ text: UnsafeBufferPointer<UInt8>, _ start: Int) -> Int? {
        guard start + 1 < text.count else { return nil }
        let first = text[start + 1]
        switch first {
        case UInt8(ascii: "s"), UInt8(ascii: "t"), UInt8(ascii: "m"), UInt8(ascii: "d"):
            return start + 2
        default: break
        }
        guard start + 2 < text.count else { return nil }
        switch (first, text[start + 2]) {
        case (UInt8(ascii: "r"), UInt8(ascii: "e")), (UInt8(ascii: "v"), UInt8(ascii: "e")),
            (UInt8(ascii: "l"), UInt8(ascii: "l")):
            return start + 3
        default: return nil
        }
    }
}
