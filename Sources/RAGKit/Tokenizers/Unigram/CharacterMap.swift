/// The character map of a SentencePiece model: replacements for single characters and short
/// clusters, such as `ﬁ` or a letter with its accents.
///
/// The format: the size of a trie in bytes (32 bits, little-endian), the units of the trie (32 bits
/// each), and the replacements, each ended by a zero byte. A unit holds the byte that leads to it,
/// the relative offset of its children, and a bit that says that one of them is a value.
///
/// Source: `normalizer.cc` of SentencePiece (Kudo & Richardson 2018, arXiv:1808.06226) and the
/// double array of Darts-clone.
struct CharacterMap: Sendable {
    /// An error in a map; `offset` counts bytes from its start.
    struct Failure: Error {
        var offset: Int
        var reason: String
    }

    /// The map as it is in the file.
    let bytes: [UInt8]
    private let units: [UInt32]
    private let replacements: [UInt8]

    /// Reads a map and checks every path in it, so that no look-up can leave its bytes.
    init(_ bytes: [UInt8]) throws {
        self.bytes = bytes
        func word(_ offset: Int) -> UInt32 {
            (0..<4).reduce(0) { $0 | UInt32(bytes[offset + $1]) << UInt32(8 * $1) }
        }
        guard bytes.count >= 4 else {
            throw Failure(offset: 0, reason: "the character map is shorter than its size field")
        }
        let size = Int(word(0))
        guard size > 0, size % 4 == 0, size <= bytes.count - 4 else {
            throw Failure(
                offset: 0,
                reason: "the character map says its trie has \(size) bytes, of the "
                    + "\(bytes.count - 4) that follow")
        }
        units = (1...size / 4).map { word(4 * $0) }
        replacements = Array(bytes[(4 + size)...])
        guard String(validating: replacements, as: UTF8.self) != nil else {
            throw Failure(offset: 4 + size, reason: "the replacements are not UTF-8")
        }
        try checkEveryPath()
    }

    private static func label(_ unit: UInt32) -> UInt32 { unit & 0x8000_00FF }

    /// The relative offset of a unit's children, combined with its position by exclusive or.
    private static func offset(_ unit: UInt32) -> Int {
        Int((unit >> 10) << ((unit & 0x200) >> 6))
    }

    private static func hasValue(_ unit: UInt32) -> Bool { unit & 0x100 != 0 }

    private func checkEveryPath() throws {
        func failure(_ unit: Int, _ reason: String) -> Failure {
            Failure(offset: 4 + 4 * unit, reason: reason)
        }
        var seen = [Bool](repeating: false, count: units.count)
        seen[0] = true
        var pending = [0]
        while let unit = pending.popLast() {
            let children = unit ^ Self.offset(units[unit])
            if Self.hasValue(units[unit]) {
                guard children < units.count else {
                    throw failure(unit, "the value of a character lies outside the trie")
                }
                let start = Int(units[children] & 0x7FFF_FFFF)
                guard start <= replacements.count,
                    start == replacements.count || replacements[start] & 0xC0 != 0x80
                else {
                    throw failure(children, "a replacement begins at \(start), which is no text")
                }
            }
            for byte in 1..<256 {
                let child = children ^ byte
                if child < units.count {
                    guard Self.label(units[child]) == UInt32(byte), !seen[child] else { continue }
                    seen[child] = true
                    pending.append(child)
                } else if children >= units.count {
                    throw failure(unit, "the children of a character lie outside the trie")
                }
            }
        }
    }

    /// The replacement of `text`, or `nil` if it has none.
    ///
    /// As in the reference, the *shortest* prefix of `text` that has an entry replaces all of it:
    /// `ﬁ` with an accent becomes `fi`.
    func replacement(of text: UnsafeBufferPointer<UInt8>) -> Range<Int>? {
        units.withUnsafeBufferPointer { units in
            var place = Self.offset(units[0])
            for byte in text {
                if byte == 0 { return nil }
                place ^= Int(byte)
                guard place < units.count, Self.label(units[place]) == UInt32(byte) else {
                    return nil
                }
                let unit = units[place]
                place ^= Self.offset(unit)
                if Self.hasValue(unit) { return range(from: Int(units[place] & 0x7FFF_FFFF)) }
            }
            return nil
        }
    }

    private func range(from start: Int) -> Range<Int> {
        var end = start
        while end < replacements.count, replacements[end] != 0 { end += 1 }
        return start..<end
    }

    /// The bytes of a replacement.
    func bytes(of range: Range<Int>) -> ArraySlice<UInt8> { replacements[range] }
}
