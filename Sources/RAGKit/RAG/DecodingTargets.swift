/// Targets with the inputs from which the decoder writes them.
struct DecodingTargets {
    /// The decoder's inputs, one sequence for each question.
    let inputs: TokenBatch
    /// The token that follows each input; -1 where none counts.
    let labels: [Int32]

    /// - Parameters:
    ///   - targets: one sequence for each question, with special tokens.
    ///   - start: put before each target; `nil` lets the target's first token start the decoder.
    ///   - pad: a label that counts for nothing, as in the reference.
    init(_ targets: TokenBatch, start: Int32?, pad: Int32) throws {
        var inputs = TokenBatch()
        var labels: [Int32] = []
        for index in 0..<targets.count {
            let whole = (start.map { [$0] } ?? []) + targets[index]
            guard whole.count >= 2 else { throw RagError.emptyTarget(index: index) }
            inputs.append(whole.dropLast())
            labels += whole.dropFirst().map { $0 == pad ? -1 : $0 }
        }
        self.inputs = inputs
        self.labels = labels
    }

    /// The number of labels that count.
    var count: Int { labels.count { $0 >= 0 } }
}
