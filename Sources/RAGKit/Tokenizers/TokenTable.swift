/// The tokens of a vocabulary by id, as one block of bytes.
struct TokenTable: Sendable {
    private let bytes: [UInt8]
    private let starts: [Int]  // one more than there are ids
    private let isGap: [Bool]
    private let special: [Bool]

    /// Creates a table of a vocabulary's tokens and of those added after it.
    ///
    /// - Parameters:
    ///   - vocabulary: The bytes of each token by id; `nil` where no token has the id.
    ///   - spelling: Gives the bytes that an added token stands for, from those of its text.
    init(
        vocabulary: [[UInt8]?], _ resolved: ResolvedTokens,
        spelling: ([UInt8]) -> [UInt8] = { $0 }
    ) {
        var tokens = vocabulary
        tokens += [[UInt8]?](
            repeating: nil, count: max(0, resolved.vocabularySize - vocabulary.count))
        for token in resolved.added where Int(token.id) >= vocabulary.count {
            tokens[Int(token.id)] = spelling(Array(token.content.utf8))
        }
        var bytes: [UInt8] = []
        var starts = [0]
        starts.reserveCapacity(tokens.count + 1)
        for token in tokens {
            if let token { bytes += token }
            starts.append(bytes.count)
        }
        self.bytes = bytes
        self.starts = starts
        isGap = tokens.map { $0 == nil }
        var special = [Bool](repeating: false, count: tokens.count)
        for id in resolved.special.allIDs { special[Int(id)] = true }
        self.special = special
    }

    /// The bytes of a token, or `nil` if the id is outside the vocabulary.
    func callAsFunction(_ id: Int32) -> ArraySlice<UInt8>? {
        let index = Int(id)
        guard isGap.indices.contains(index), !isGap[index] else { return nil }
        return bytes[starts[index]..<starts[index + 1]]
    }

    func isSpecial(_ id: Int32) -> Bool {
        special.indices.contains(Int(id)) && special[Int(id)]
    }
}
