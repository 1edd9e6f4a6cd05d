/// One piece of a Unigram vocabulary and its log-probability.
struct UnigramPiece: Sendable, Equatable {
    var text: String
    var score: Double
}

/// Spells words with the pieces whose scores have the highest sum.
///
/// Within it `▁`, the mark of a word's beginning, is the one byte of a space: texts hold no spaces
/// any more when they come here.
///
/// Source: Kudo 2018, arXiv:1804.10959; scores added in Double and ties decided as by the `Unigram`
/// model of `tokenizers` (`encode_optimized`): the first one found stays.
struct UnigramModel: Sendable {
    /// How much worse than the worst piece an unknown scalar is.
    private static let unknownPenalty = 10.0

    let unknown: Int32
    private let unknownScore: Double
    private let scores: [Double]
    private let trie: ByteTrie
    /// The pieces of single bytes, `<0x00>` to `<0xFF>`; empty: unknown text is one unknown token.
    private let bytePieces: [Int32]
    /// The words that are one piece once spelled: most words of most texts.
    private var wholeWords = ByteStringTable()

    /// - Parameter fallsBackToBytes: Whether unknown text is spelled in bytes where all have pieces.
    /// - Precondition: `unknown` is the place of a piece; no text is there twice.
    init(_ pieces: [UnigramPiece], unknown: Int32, fallsBackToBytes: Bool) {
        self.unknown = unknown
        scores = pieces.map(\.score)
        unknownScore = (scores.min() ?? 0) - Self.unknownPenalty
        let keys = pieces.map { WordMark.shortened(Array($0.text.utf8)) }
        // A real space never comes here, so a piece that holds one is never used.
        let trie = ByteTrie(
            zip(pieces, keys).enumerated().compactMap { id, piece in
                piece.0.text.utf8.contains(0x20) ? nil : (key: piece.1, id: Int32(id))
            })
        self.trie = trie
        var bytePieces: [Int32] = []
        if fallsBackToBytes {
            let digits = Array("0123456789ABCDEF".utf8)
            bytePieces = (0..<256).map { byte in
                trie.id(of: Array("<0x".utf8) + [digits[byte >> 4], digits[byte & 15], 0x3E])
            }
        }
        self.bytePieces = bytePieces
        wholeWords = wholeWords(of: keys)
    }

    private func wholeWords(of keys: [[UInt8]]) -> ByteStringTable {
        var table = ByteStringTable(capacity: keys.count)
        var spelling: [Int32] = []
        for (id, key) in keys.enumerated() where key.first == WordMark.short && key.count <= 32 {
            guard !key.dropFirst().contains(WordMark.short) else { continue }
            key.withUnsafeBufferPointer { key in
                spelling.removeAll(keepingCapacity: true)
                spell(key, into: &spelling)
                if spelling == [Int32(id)] { _ = table.insert(key, id: Int32(id)) }
            }
        }
        return table
    }

    /// Appends the ids of a text of words, each beginning with the byte of a space.
    func spellWords(_ text: UnsafeBufferPointer<UInt8>, into ids: inout [Int32]) {
        var start = 0
        while start < text.count {
            var hash = ByteStringTable.extended(ByteStringTable.emptyHash, by: text[start])
            var end = start + 1
            while end < text.count, text[end] != WordMark.short {
                hash = ByteStringTable.extended(hash, by: text[end])
                end += 1
            }
            let word = UnsafeBufferPointer(rebasing: text[start..<end])
            let id = wholeWords.id(of: word, hash: hash)
            if id >= 0 { ids.append(id) } else { spell(word, into: &ids) }
            start = end
        }
    }

    /// The best way to spell the word up to some place.
    private struct Node {
        var score = 0.0
        /// Where the last piece begins; -1 while no way is known.
        var start: Int32 = -1
        var id: Int32 = 0
    }

    private func spell(_ word: UnsafeBufferPointer<UInt8>, into ids: inout [Int32]) {
        let short = 63
        if word.count <= short {
            withUnsafeTemporaryAllocation(of: Node.self, capacity: short + 1) { nodes in
                let nodes = UnsafeMutableBufferPointer(rebasing: nodes[...word.count])
                nodes.initialize(repeating: Node())
                search(word, nodes)
                collect(word, nodes, into: &ids)
            }
        } else {
            var nodes = [Node](repeating: Node(), count: word.count + 1)
            nodes.withUnsafeMutableBufferPointer { nodes in
                search(word, nodes)
                collect(word, nodes, into: &ids)
            }
        }
    }

    @inline(__always)
    private func search(
        _ word: UnsafeBufferPointer<UInt8>, _ nodes: UnsafeMutableBufferPointer<Node>
    ) {
        trie.cells.withUnsafeBufferPointer { cells in
            scores.withUnsafeBufferPointer { scores in
                var start = 0
                while start < word.count {
                    let here = nodes[start].score
                    let single = start + UTF8Scalar.length(word[start])
                    var hasSingle = false
                    var cell = 0
                    var end = start
                    while end < word.count {
                        cell = ByteTrie.step(cells, from: cell, word[end])
                        if cell < 0 { break }
                        end += 1
                        let id = cells[cell].id
                        guard id >= 0 else { continue }
                        let score = scores[Int(id)] + here
                        if nodes[end].start < 0 || score > nodes[end].score {
                            nodes[end] = Node(score: score, start: Int32(start), id: id)
                        }
                        if end == single { hasSingle = true }
                    }
                    if !hasSingle {
                        let score = unknownScore + here
                        if nodes[single].start < 0 || score > nodes[single].score {
                            nodes[single] = Node(score: score, start: Int32(start), id: unknown)
                        }
                    }
                    start = single
                }
            }
        }
    }

    /// Appends the pieces of the best way, which is known from the end.
    @inline(__always)
    private func collect(
        _ word: UnsafeBufferPointer<UInt8>, _ nodes: UnsafeMutableBufferPointer<Node>,
        into ids: inout [Int32]
    ) {
        let first = ids.count
        var end = word.count
        while end > 0 {
            let node = nodes[end]
            var start = Int(node.start)
            if node.id == unknown {
                // Unknown neighbours are one unknown text.
                while start > 0, nodes[start].id == unknown { start = Int(nodes[start].start) }
                appendUnknown(UnsafeBufferPointer(rebasing: word[start..<end]), to: &ids)
            } else {
                ids.append(node.id)
            }
            end = start
        }
        var (left, right) = (first, ids.count - 1)
        while left < right {
            ids.swapAt(left, right)
            left += 1
            right -= 1
        }
    }

    /// Appends an unknown text, back to front. Put together it may be a piece after all.
    private func appendUnknown(_ text: UnsafeBufferPointer<UInt8>, to ids: inout [Int32]) {
        let whole = trie.id(of: text)
        if whole >= 0 { return ids.append(whole) }
        let bytes = bytePieces.isEmpty ? [] : WordMark.lengthened(text)
        if !bytes.isEmpty, bytes.allSatisfy({ bytePieces[Int($0)] >= 0 }) {
            for byte in bytes.reversed() { ids.append(bytePieces[Int(byte)]) }
        } else {
            ids.append(unknown)
        }
    }
}

/// SentencePiece's mark of a word's beginning, `▁` (U+2581), and the one byte that stands for it while
/// words are spelled.
enum WordMark {
    static let bytes: [UInt8] = [0xE2, 0x96, 0x81]
    static let short: UInt8 = 0x20

    @inline(__always)
    static func begins(_ text: UnsafeBufferPointer<UInt8>, at index: Int) -> Bool {
        text[index] == 0xE2 && index + 2 < text.count && text[index + 1] == 0x96
            && text[index + 2] == 0x81
    }

    /// `text` with one byte for each mark.
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

    /// `text` with its marks written out.
    static func lengthened(_ text: some Sequence<UInt8>) -> [UInt8] {
        var result: [UInt8] = []
        for byte in text {
            if byte == short { result += bytes } else { result.append(byte) }
        }
        return result
    }
}
