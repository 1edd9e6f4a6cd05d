import RAGKit

/// Fine-tunes REALM to answer questions with a span of a passage it finds.
///
/// The retriever learns to put passages that hold the answer first among many, the reader to pick
/// the answer among all spans of the best few. The index stays as it is; questions move.
///
/// Source: Guu et al. 2020, arXiv:2002.08909, section 3.1; the losses are those of transformers'
/// `RealmReader`.
public final class RealmAnswering: TrainingTask {
    public struct Prepared {
        let questions: [[Int32]]
        let answers: [[[Int32]]]
        let vectors: Tensor
        /// Many for the retriever's loss; the reader reads the first few.
        let candidates: Candidates
    }

    public let realm: RealmModel
    public let input: RealmInput
    public let retriever: any Retriever
    public var scorer: RelevanceScorer
    /// The number of passages that the retriever's loss compares.
    public var searcherBeam = 50
    /// The number of passages that are read.
    public var readerBeam = 5
    /// The ids of passages that were looked at.
    private var bodies: [PassageID: [Int32]] = [:]

    /// Freezes the passages' embedder, as the index is.
    public init(
        _ realm: RealmModel, input: RealmInput, retriever: any Retriever, scorer: RelevanceScorer
    ) {
        self.realm = realm
        self.input = input
        self.retriever = retriever
        self.scorer = scorer
        realm.passages.freeze()
    }

    public var model: Module { realm }

    public func prepare(_ batch: [RagExample]) async throws -> Prepared {
        let questions = batch.map { input.tokenizer.ids(of: $0.question) }
        let vectors = realm.questions(TokenBatch(questions.map(input.alone)))
        let queries = RetrievalQueries(texts: batch.map(\.question), vectors: vectors)
        return Prepared(
            questions: questions,
            answers: batch.map { $0.answers.map { input.tokenizer.ids(of: $0) } },
            vectors: vectors,
            candidates: try await CandidatePolicy(count: searcherBeam)
                .candidates(for: queries, from: retriever))
    }

    public func loss(_ prepared: Prepared) throws -> TrainingLoss {
        let relevance = prepared.candidates.scores(prepared.vectors, by: scorer)
        let (logits, spans, _) = read(prepared, relevance)
        // A question whose answer was not found teaches nothing.
        var sum = logits.sum() * 0
        for question in prepared.questions.indices {
            let holds = holdingAnswer(prepared, question)
            let row = relevance.slice(question..<question + 1).reshaped([relevance.dim(1)])
            let first = spans.offsets[question]
            let own = logits.slice(first..<spans.offsets[question + 1])
            for loss in [
                marginalLoss(row, right: holds),
                marginalLoss(own, right: spans.answers[question].map { $0 - Int32(first) }),
            ] { sum = loss.map { sum + $0 } ?? sum }
        }
        return TrainingLoss(sum: sum, weight: prepared.questions.count)
    }

    /// The best span of each question.
    public func answers(_ prepared: Prepared) -> [String] {
        let (logits, spans, inputs) = read(
            prepared, prepared.candidates.scores(prepared.vectors, by: scorer))
        return prepared.questions.indices.map { question in
            let range = spans.offsets[question]..<spans.offsets[question + 1]
            guard !range.isEmpty else { return "" }
            let best = range.lowerBound + Int(logits.slice(range).maxIndices()[0])
            return input.tokenizer.decode(
                inputs.ids[Int(spans.first[best])...Int(spans.last[best])])
        }
    }

    /// The candidates that hold an answer.
    public func holdingAnswer(_ prepared: Prepared, _ question: Int) -> [Int32] {
        (0..<prepared.candidates.documentsPerQuery).filter { document in
            let ids = body(of: prepared.candidates[question, document].passage)
            return prepared.answers[question].contains { !occurrences(of: $0, in: ids).isEmpty }
        }.map { Int32($0) }
    }

    private func body(of passage: Passage) -> [Int32] {
        if let known = bodies[passage.id] { return known }
        let ids = input.tokenizer.ids(of: passage.text)
        bodies[passage.id] = ids
        return ids
    }

    /// The score of every span of the first passages: what it is itself, and its passage's.
    private func read(
        _ prepared: Prepared, _ relevance: Tensor
    ) -> (logits: Tensor, spans: Spans, inputs: TokenBatch) {
        let candidates = prepared.candidates
        let read = min(readerBeam, candidates.documentsPerQuery)
        var inputs = (ids: [[Int32]](), types: [[Int32]](), row: 0)
        var spans = Spans()
        var passages: [Int32] = []
        for question in prepared.questions.indices {
            var places: [(Int, Int, Range<Int>, [ClosedRange<Int>])] = []
            for document in 0..<read {
                let joint = input.joint(
                    prepared.questions[question], candidates[question, document].passage)
                let body = joint.ids[joint.passage]
                let right = prepared.answers[question].flatMap { answer in
                    occurrences(of: answer, in: Array(body)).map {
                        joint.passage.lowerBound + $0...joint.passage.lowerBound + $0 + answer.count
                            - 1
                    }
                }
                places.append((inputs.ids.count, inputs.row, joint.passage, right))
                passages.append(Int32(question * candidates.documentsPerQuery + document))
                inputs.ids.append(joint.ids)
                inputs.types.append(joint.types)
                inputs.row += joint.ids.count
            }
            spans.append(places, width: realm.reader.configuration.maxSpanWidth)
        }
        let batch = TokenBatch(inputs.ids, typeIDs: inputs.types)
        let ofPassages = relevance.reshaped([relevance.count]).rows(passages)
        return (realm.reader.spanScores(batch, spans, relevance: ofPassages), spans, batch)
    }
}

/// The places where `part` begins in `whole`.
func occurrences(of part: [Int32], in whole: [Int32]) -> [Int] {
    guard !part.isEmpty, part.count <= whole.count else { return [] }
    return (0...whole.count - part.count).filter { whole[$0..<$0 + part.count].elementsEqual(part) }
}
