import RAGKit

/// Pseudo-questions made from the knowledge base alone: a passage's title, and each of its sentences,
/// belong to the passage.
///
/// A sentence is taken out of its passage nine times out of ten, so that it is found by what it is
/// about and not only by its words: the inverse cloze task.
///
/// Source: Lee, Chang & Toutanova 2019, arXiv:1906.00300.
public func clozePairs(
    _ passages: [Passage], using generator: inout some RandomNumberGenerator
) -> [InBatchNegativesTask.Pair] {
    passages.flatMap { passage -> [InBatchNegativesTask.Pair] in
        let sentences = passage.text.components(separatedBySentenceEnd: ". ")
        let cloze = sentences.indices.map { index in
            var rest = passage
            if sentences.count > 1, Int.random(in: 0..<10, using: &generator) > 0 {
                var others = sentences
                others.remove(at: index)
                rest.text = others.joined(separator: " ")
            }
            return InBatchNegativesTask.Pair(question: sentences[index], passage: rest)
        }
        guard !passage.title.isEmpty else { return cloze }
        return [InBatchNegativesTask.Pair(question: passage.title, passage: passage)] + cloze
    }
}

extension String {
    /// The sentences, each with its full stop.
    fileprivate func components(separatedBySentenceEnd end: String) -> [String] {
        let parts = split(separator: end)
        return parts.enumerated().map { $0 < parts.count - 1 ? $1 + "." : String($1) }
    }
}
