import RAGKitBLAS

/// Sequences to be scored, put together by their beginnings: what several of them begin with is
/// decoded once for each document.
///
/// Beams differ mostly in their last tokens, so that a tree of them has far fewer tokens than they
/// have together.
struct CandidateTree {
    /// A token after what its ancestors say.
    private struct Node {
        let token: Int32
        let question: Int
        /// Its place in the level above; at the root none.
        let parent: Int?
    }

    /// The nodes by their distance from the root, those of a question together.
    private var levels: [[Node]] = []
    /// For each sequence its nodes' places in their levels.
    private var paths: [[Int]] = []
    private let sequences: DecodingTargets

    /// - Parameter questions: whose contexts each sequence is read from, ascending.
    init(_ sequences: DecodingTargets, questions: [Int]) {
        self.sequences = sequences
        var known: [[Int]: Int] = [:]
        for (sequence, question) in questions.enumerated() {
            var path: [Int] = []
            for (depth, token) in sequences.inputs[sequence].enumerated() {
                let key = [depth, question, path.last ?? 0, Int(token)]
                if levels.count == depth { levels.append([]) }
                if known[key] == nil {
                    known[key] = levels[depth].count
                    levels[depth].append(
                        Node(token: token, question: question, parent: path.last))
                }
                path.append(known[key] ?? 0)
            }
            paths.append(path)
        }
    }

    /// The rows of a level: for each question its documents, and for each of them its nodes.
    private struct Rows {
        private var starts: [Int: (row: Int, node: Int, count: Int)] = [:]
        private let documents: Int
        let count: Int

        init(_ nodes: [Node], documents: Int) {
            self.documents = documents
            var row = 0
            for (place, node) in nodes.enumerated() {
                starts[node.question, default: (0, place, 0)].count += 1
            }
            for (question, entry) in starts.sorted(by: { $0.value.node < $1.value.node }) {
                starts[question]?.row = row
                row += entry.count * documents
            }
            count = row
        }

        func row(_ place: Int, _ question: Int, _ document: Int) -> Int {
            let (row, node, count) = starts[question] ?? (0, 0, 0)
            return row + document * count + place - node
        }
    }

    /// The log-probabilities of all labels, in the order sequence, document, token.
    ///
    /// - Parameters:
    ///   - cache: with one row for each question and document, nothing decoded yet.
    ///   - includingTotal: whether sums over the vocabulary are wanted, for label smoothing.
    func logProbabilities<Generator: Seq2SeqGenerator>(
        _ generator: Generator, _ cache: Generator.Cache, documents: Int, includingTotal: Bool
    ) -> TokenLogProbabilities {
        var cache = cache
        let rows = levels.map { Rows($0, documents: documents) }
        var states: [Tensor] = []
        var firstRows = [0]
        for (depth, nodes) in levels.enumerated() {
            var tokens = [Int32](repeating: 0, count: rows[depth].count)
            var parents = tokens
            for (place, node) in nodes.enumerated() {
                for document in 0..<documents {
                    let row = rows[depth].row(place, node.question, document)
                    tokens[row] = node.token
                    parents[row] = Int32(
                        node.parent.map { rows[depth - 1].row($0, node.question, document) }
                            ?? node.question * documents + document)
                }
            }
            cache.reorder(parents)
            states.append(generator.step(tokens, &cache).detached)
            firstRows.append(firstRows[depth] + tokens.count)
        }
        guard !states.isEmpty else {
            let none = Tensor.zeros([0])
            return TokenLogProbabilities(target: none, total: includingTotal ? none : nil)
        }
        return pick(
            generator.projection, .concatenated(states), includingTotal: includingTotal,
            labels: labels(documents: documents) { depth, place, question, document in
                firstRows[depth] + rows[depth].row(place, question, document)
            })
    }

    /// A label and the row whose logits say how likely it is.
    private struct Label {
        let row: Int
        let token: Int32
    }

    private func labels(
        documents: Int, row: (_ depth: Int, _ place: Int, _ question: Int, _ document: Int) -> Int
    ) -> [Label] {
        paths.enumerated().flatMap { sequence, path in
            (0..<documents).flatMap { document in
                path.enumerated().map { depth, place in
                    Label(
                        row: row(depth, place, levels[depth][place].question, document),
                        token: sequences.labels[sequences.inputs.offsets[sequence] + depth])
                }
            }
        }
    }

    /// The labels' log-probabilities: each row's logits are made once, whatever is asked of them.
    private func pick(
        _ projection: VocabularyProjection, _ states: Tensor, includingTotal: Bool,
        labels: [Label]
    ) -> TokenLogProbabilities {
        var labelsOfRow = [[Int]](repeating: [], count: states.dim(0))
        for (index, label) in labels.enumerated() { labelsOfRow[label.row].append(index) }
        let size = projection.vocabularySize
        let none = [Int32](repeating: -1, count: states.dim(0))
        var sums = [Float](repeating: 0, count: states.dim(0))
        var (ignored, totals) = (sums, sums)
        let target = Tensor.zeros([labels.count])
        let total = includingTotal ? Tensor.zeros([labels.count]) : nil
        projection.forEachLogits(states) { range, logits in
            if includingTotal {
                ragkit_pick_log_softmax(
                    range.count, size, logits, none, &sums, &ignored, &totals)
            } else {
                ragkit_log_sum_exp(range.count, size, logits, &sums)
            }
            for (place, row) in range.enumerated() {
                for index in labelsOfRow[row] {
                    let token = Int(labels[index].token)
                    if token >= 0 {
                        target.writablePointer[index] = logits[place * size + token] - sums[place]
                    }
                    total?.writablePointer[index] = totals[place]
                }
            }
        }
        return TokenLogProbabilities(target: target, total: total)
    }
}
