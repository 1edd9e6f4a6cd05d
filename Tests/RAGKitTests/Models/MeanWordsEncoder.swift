@testable import RAGKit

/// An encoder as a user of the library writes one: the mean of word vectors, of any length.
final class MeanWordsEncoder: Module, TextEncoder, HuggingFaceModel {
    struct Configuration: Sendable {
        var vocabularySize: Int
        var dimension = 6
    }

    static let modelType = "mean_words"

    /// The library's families and this one.
    static let models = ModelRegistry.standard.registering(
        textEncoder: { json, _ in
            MeanWordsEncoder(
                configuration: Configuration(
                    vocabularySize: try json.int("vocab_size") ?? 0,
                    dimension: try json.int("dimension") ?? 0))
        }, for: modelType)

    let configuration: Configuration
    @ModuleInfo(key: "words") var words: Embedding

    init(configuration: Configuration) {
        self.configuration = configuration
        super.init()
        words = Embedding(configuration.vocabularySize, configuration.dimension)
    }

    /// With random weights.
    convenience init(vocabularySize: Int, seed: UInt64) {
        self.init(configuration: Configuration(vocabularySize: vocabularySize))
        randomize(seed: seed)
    }

    var vocabularySize: Int { configuration.vocabularySize }
    var dimension: Int { configuration.dimension }
    var maxTokens: Int? { nil }
    var huggingFaceConfiguration: JSONValue {
        [
            "model_type": .string(Self.modelType), "vocab_size": .int(vocabularySize),
            "dimension": .int(dimension),
        ]
    }

    func callAsFunction(_ batch: TokenBatch) -> Tensor {
        words(batch.ids).segmentMeans(offsets: batch.offsets)
    }
}
