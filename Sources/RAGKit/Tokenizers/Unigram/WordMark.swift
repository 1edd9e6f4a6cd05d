/// SentencePiece's mark of a word's beginning, `▁` (U+2581), and the byte that stands for it while
/// words are spelled.
enum WordMark {
    static let bytes: [UInt8] = [0xE2, 0x96, 0x81]
    static let short: UInt8 = 0x20

    @inline(__always)
    static func begins(_ text: UnsafeBufferPointer<UInt8>, at index: Int) -> Bool {
        text[index] == 0xE2 && index + 2 < text.count && text[index + 1] == 0x96
            && text[index + 2] == 0x81
    }

    /// Replaces each mark by its one-byte form.
    static func shortened(_ text: [UInt8]) -> [UInt8] {
        guard text.contains(0xE2) else { return text }
        return text.withUnsafeBufferPointer { text in
            var result: [UInt8] = []
            result.reserveCapacity(text.count)
            var index = 0
            while index < text.count {
                let isMark = begins(text, at: index)
                result.append(isMark ? short : text[index])
                index += isMark ? 3 : 1
            }
            return result
        }
    }

    /// Replaces each one-byte mark by `▁`.
    static func lengthened(_ text: some Sequence<UInt8>) -> [UInt8] {
        var result: [UInt8] = []
        for byte in text {
            if byte == short { result += bytes } else { result.append(byte) }
        }
        return result
    }
}
