/// A piece of a Unigram vocabulary with its log-probability.
struct UnigramPiece: Sendable, Equatable {
    var text: String
    var score: Double
}

/// Spells words with the pieces whose scores have the highest sum.
///
/// Here the byte of a space stands for `▁`, the mark of a word's beginning: normalised texts hold
/// no other spaces.
///
/// Source: Kudo 2018, arXiv:1804.10959; scores are added in Double, and the first of equal
/// spellings wins, as in the `Unigram` model of `tokenizers` (`encode_optimized`).
struct UnigramModel: Sendable {
    /// The difference between the lowest score of a piece and the score of an unknown scalar.
    private static let unknownPenalty = 10.0

    let unknown: Int32
    private let unknownScore: Double
    private let scores: [Double]
    private let trie: ByteTrie
    /// The ids of `<0x00>` to `<0xFF>`; empty if unknown text is one unknown token.
    private let bytePieces: [Int32]
    /// The words that are spelled by one piece: most words of most texts.
    private var wholeWords = ByteStringTable()

    /// - Parameter fallsBackToBytes: True to spell unknown text in bytes if each of its bytes has a
    ///   piece.
    /// - Precondition: `unknown` is the index of a piece; no two pieces have the same text.
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

    /// Appends the ids of a text whose words each begin with the byte of a space.
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

    /// The best spelling of the word up to a position.
    private struct Node {
        var score = 0.0
        /// The start of the last piece; -1 while no spelling is known.
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

    /// Appends the pieces of the best spelling, which is followed back from the end.
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

    /// Appends an unknown text, back to front. Joined, unknown scalars can be a piece after all.
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
