/// The layout of the rows of a batch of targets, decoded once for each document.
///
/// Decoder states come in the order question, document, token. Marginalizing over documents needs
/// the order question, token, document.
struct TargetLayout {
    let documents: Int
    /// The labels of all questions, back to back; -1 counts for nothing.
    let labels: [Int32]
    /// The beginning of each question's labels, and at last their number.
    let offsets: [Int]

    init(decoding: DecodingTargets, documents: Int) {
        self.documents = documents
        labels = decoding.labels
        offsets = decoding.inputs.offsets
    }

    /// The number of questions.
    var questions: Int { offsets.count - 1 }
    /// The number of labels.
    var tokens: Int { labels.count }

    private func length(_ question: Int) -> Int { offsets[question + 1] - offsets[question] }

    /// The label of each decoder row.
    var rowLabels: [Int32] {
        (0..<questions).flatMap { question in
            (0..<documents).flatMap { _ in labels[offsets[question]..<offsets[question + 1]] }
        }
    }

    /// The question of each token.
    var questionOfToken: [Int32] {
        (0..<questions).flatMap { repeatElement(Int32($0), count: length($0)) }
    }

    /// The decoder rows in the order question, token, document.
    var rowsByToken: [Int32] {
        (0..<questions).flatMap { question in
            (0..<length(question)).flatMap { token in
                (0..<documents).map { document in
                    Int32(
                        offsets[question] * documents + document * length(question) + token)
                }
            }
        }
    }

    /// 1 for each token that counts, else 0: `[tokens]`.
    var labelMask: Tensor { Tensor(labels.map { $0 >= 0 ? 1 : 0 }, shape: [tokens]) }

    /// 1 for each decoder row that counts, else 0.
    ///
    /// - Parameter skipsFirst: for each question, whether its first label does not count; `nil`
    ///   where all do.
    func rowMask(skipsFirst: [Bool]? = nil) -> Tensor {
        let mask = (0..<questions).flatMap { question in
            (0..<documents).flatMap { _ in
                (0..<length(question)).map { token -> Float in
                    let counts = labels[offsets[question] + token] >= 0
                    return counts && !(token == 0 && skipsFirst?[question] == true) ? 1 : 0
                }
            }
        }
        return Tensor(mask, shape: [mask.count])
    }

    /// 1 for each question whose second token counts, else 0: `[questions, 1]`.
    var hasSecondToken: Tensor {
        Tensor(
            (0..<questions).map { question in
                length(question) > 1 && labels[offsets[question] + 1] >= 0 ? 1 : 0
            }, shape: [questions, 1])
    }

    /// For each question, whether its first label is `bos`, and that of all others of its group.
    func startsWith(_ bos: Int32?, inAllOf groups: [Int]) -> [Bool] {
        guard let bos else { return groups.map { _ in false } }
        let others = Set((0..<questions).filter { labels[offsets[$0]] != bos }.map { groups[$0] })
        return groups.map { !others.contains($0) }
    }

    /// Sums `[tokens]` by question: `[questions]`.
    func sumOverTokens(_ values: Tensor) -> Tensor {
        values.reshaped([values.count, 1]).segmentSums(offsets: offsets).reshaped([questions])
    }

    /// Sums decoder rows by question and document: `[questions, documents]`.
    func sumOverRows(_ values: Tensor) -> Tensor {
        var starts = [0]
        for question in 0..<questions {
            for _ in 0..<documents { starts.append(starts[starts.count - 1] + length(question)) }
        }
        return values.reshaped([values.count, 1]).segmentSums(offsets: starts)
            .reshaped([questions, documents])
    }
}
