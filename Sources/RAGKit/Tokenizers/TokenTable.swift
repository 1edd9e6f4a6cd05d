/// The tokens of a vocabulary by id, as one block of bytes.
struct TokenTable: Sendable {
    private let bytes: [UInt8]
    private let starts: [Int]  // one more than there are ids
    private let isGap: [Bool]

    /// - Parameter tokens: By id; `nil` where no token has the id.
    init(_ tokens: [[UInt8]?]) {
        var bytes: [UInt8] = []
        var starts = [0]
        starts.reserveCapacity(tokens.count + 1)
        for token in tokens {
            bytes += token ?? []
            starts.append(bytes.count)
        }
        self.bytes = bytes
        self.starts = starts
        isGap = tokens.map { $0 == nil }
    }

    var count: Int { isGap.count }

    /// The bytes of a token, or `nil` if the id is outside the vocabulary.
    func callAsFunction(_ id: Int32) -> ArraySlice<UInt8>? {
        let index = Int(id)
        guard index >= 0, index < count, !isGap[index] else { return nil }
        return bytes[starts[index]..<starts[index + 1]]
    }
}

extension TokenTable {
    /// The tokens of a vocabulary, followed by those added behind it.
    init(vocabulary: [[UInt8]?], _ resolved: ResolvedTokens) {
        var tokens = vocabulary
        tokens += [[UInt8]?](
            repeating: nil, count: max(0, resolved.vocabularySize - vocabulary.count))
        for token in resolved.added.tokens where Int(token.id) >= vocabulary.count {
            tokens[Int(token.id)] = Array(token.content.utf8)
        }
        self.init(tokens)
    }
}
