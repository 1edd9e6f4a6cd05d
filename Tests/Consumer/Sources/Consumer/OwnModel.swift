// Code of the guide "Your own retrieval-augmented model": a test compares the two.
import RAGKit

/// BERT over text and passage together, with a head for a hidden word.
final class Reader: Module {
    @ModuleInfo(key: "bert") var bert: BertModel
    @ModuleInfo(key: "cls.predictions") var words: BertMaskedLMHead

    init(_ configuration: BertConfiguration) {
        super.init()
        bert = BertModel(configuration)
        words = BertMaskedLMHead(configuration, tying: bert.wordEmbeddings)
    }

    /// The log-probability of the word hidden in each input, `[inputs]`.
    ///
    /// - Parameters:
    ///   - places: where `[MASK]` stands in each input.
    ///   - targets: the word that was there.
    func callAsFunction(_ inputs: TokenBatch, places: [Int], targets: [Int32]) -> Tensor {
        let rows = zip(inputs.offsets, places).map { Int32($0 + $1) }
        return words.logProbabilities(bert(inputs, at: rows), targets: targets)
    }
}

/// REALM: two encoders say how well a passage fits, a reader what follows from it.
final class TinyRealm: Module {
    @ModuleInfo(key: "question") var questions: DPREncoder
    @ModuleInfo(key: "context") var contexts: DPREncoder
    @ModuleInfo(key: "reader") var reader: Reader

    init(_ bert: BertConfiguration) {
        super.init()
        questions = DPREncoder(configuration: DPRConfiguration(role: .question, bert: bert))
        contexts = DPREncoder(configuration: DPRConfiguration(role: .context, bert: bert))
        reader = Reader(bert)
    }
}

extension Tensor {
    /// `limit · tanh(x / limit)`: nearly `x` where that is small, and never beyond the limit.
    func softCapped(at limit: Float) -> Tensor {
        let value = (detached / limit).tanh() * limit
        return .custom("softCapped", [self], value: value) { gradient in
            let share = value / limit
            return [gradient * (1 - share * share)]  // tanh' = 1 - tanh²
        }
    }
}
