// Code of the guide "Your own retrieval-augmented model": a test compares the two.
import RAGKit

/// Hides a word of each passage and fills it in from others.
final class HiddenWordTask: TrainingTask {
    struct Prepared {
        /// Each passage's own ids, with one of them hidden.
        var texts: [[Int32]] = []
        var places: [Int] = []
        var targets: [Int32] = []
        var vectors = Tensor(0)
        var candidates = Candidates([])
    }

    let realm: TinyRealm
    let tokenizer: any Tokenizer
    let retriever: any Retriever
    let policy = CandidatePolicy(count: 3, includesNullDocument: true)

    init(_ realm: TinyRealm, tokenizer: any Tokenizer, retriever: any Retriever) {
        self.realm = realm
        self.tokenizer = tokenizer
        self.retriever = retriever
    }

    var model: Module { realm }

    func prepare(_ batch: [Passage]) async throws -> Prepared {
        // The same step hides the same words in every run.
        let context = ForwardContext.current
        var random = SeededGenerator(seed: context.seed &+ UInt64(context.step))
        var prepared = Prepared()
        for passage in batch {
            var ids = tokenizer.encode(passage.text).ids
            let place = Int.random(in: 1..<ids.count - 1, using: &random)
            prepared.places.append(place)
            prepared.targets.append(ids[place])
            ids[place] = tokenizer.specialTokens.mask ?? 0
            prepared.texts.append(ids)
        }
        // Recorded here, and used in the loss: nothing is encoded twice.
        prepared.vectors = realm.questions(TokenBatch(prepared.texts))
        let queries = RetrievalQueries(
            texts: prepared.texts.map { tokenizer.decode($0) },
            excluded: batch.map { [$0.id] })
        prepared.candidates = try await policy.candidates(for: queries, from: retriever)
        return prepared
    }

    func loss(_ prepared: Prepared) throws -> TrainingLoss {
        let candidates = prepared.candidates
        // How well each candidate fits, by the live encoders: p(z | x).
        let encoding = PassageEncoder(tokenizer: tokenizer)
        let passages = candidates.uniquePassages.map { encoding.ids(of: $0, for: realm.contexts) }
        let scores = candidates.scores(
            prepared.vectors, vectors: realm.contexts(TokenBatch(passages)))
        let priors = scores.softCapped(at: 30).logSoftmax()

        // What the reader makes of each: p(y | z, x).
        let pairs = candidates.map { text, found -> (ids: [Int32], types: [Int32]) in
            let text = prepared.texts[text]
            let passage = tokenizer.encode(found.passage.text).ids.dropFirst()  // one [CLS] only
            return (text + passage, text.map { _ in 0 } + passage.map { _ in 1 })
        }
        let inputs = TokenBatch(pairs.map(\.ids), typeIDs: pairs.map(\.types))
        let tokens = realm.reader(
            inputs, places: candidates.map { text, _ in prepared.places[text] },
            targets: candidates.map { text, _ in prepared.targets[text] })

        // p(y | x) = Σ p(z | x) p(y | z, x); each text has one hidden word.
        let likelihoods = Marginalization.token.logLikelihoods(
            tokens.reshaped([candidates.count, candidates.documentsPerQuery]), priors: priors,
            offsets: Array(0...candidates.count))
        return TrainingLoss(sum: -likelihoods.sum(), weight: candidates.count)
    }
}

func trainOwnModel() async throws -> [Double] {
    let texts = passages.flatMap { [$0.title, $0.text] }
    let tokenizer = try WordPieceTrainer(vocabularySize: 200, minimumFrequency: 1).train(on: texts)
    var bert = BertConfiguration()
    bert.vocabSize = tokenizer.vocabularySize
    bert.hiddenSize = 32
    bert.numHiddenLayers = 1
    bert.numAttentionHeads = 2
    bert.intermediateSize = 64
    bert.maxPositionEmbeddings = 96
    let realm = TinyRealm(bert)
    var random = SeededGenerator(seed: 1)
    realm.initialize(using: &random)

    let task = HiddenWordTask(
        realm, tokenizer: tokenizer, retriever: WordRetriever(passages))
    var arguments = TrainingArguments()
    arguments.maxSteps = 40
    arguments.trainBatchSize = passages.count
    arguments.learningRate = 1e-3
    return try await Trainer(task, examples: passages, arguments: arguments).fit().losses
}
