extension RagModel {
    /// The scores of each question's documents: `[questions, documents]`, about -1e30 where one is missing.
    ///
    /// The caller's scores if there are any; else products of the question's vector with what the
    /// live context encoder makes of each passage, or with the retriever's vectors; else the
    /// retriever's own scores as constants.
    ///
    /// - Parameter usesIndexVectors: takes the retriever's vectors also when there is a context
    ///   encoder.
    func documentScores(
        _ vectors: Tensor, _ evidence: Evidence, usesIndexVectors: Bool = false
    ) throws -> Tensor {
        let candidates = evidence.candidates
        if let given = evidence.givenScores {
            let numbers = given.flatMap { list in
                (0..<candidates.documentsPerQuery).map { $0 < list.count ? list[$0] : 0 }
            }
            return candidates.masked(
                Tensor(numbers, shape: [candidates.count, candidates.documentsPerQuery]))
        }
        if let inputs = evidence.contextEncoderInputs, !usesIndexVectors,
            let encoder = try contextParts()?.encoder
        {
            if let profile = Profile.current {
                let lengths = inputs.lengths
                let found = candidates.passageIndices.reduce(0) { $0 + lengths[Int($1)] }
                profile.add(savedTokens: found - inputs.totalTokens)
            }
            return candidates.scores(vectors, vectors: encoder(inputs))
        }
        return candidates.scores(vectors)
    }
}
