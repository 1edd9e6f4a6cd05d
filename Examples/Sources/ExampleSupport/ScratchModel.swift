import RAGKit

/// The sizes of models made from scratch.
public enum ScratchSize: String, Sendable, CaseIterable {
    /// Encoders of 2 layers, 128 wide; BART of 2 and 2 layers, 128 wide: minutes on two cores.
    case tiny
    /// Encoders of 4 layers, 256 wide; BART of 3 and 3 layers, 256 wide: hours on two cores.
    case small

    var width: Int { self == .tiny ? 128 : 256 }
    var encoderLayers: Int { self == .tiny ? 2 : 4 }
    var generatorLayers: Int { self == .tiny ? 2 : 3 }
    var heads: Int { 4 }
}

/// A RAG model made from scratch: vocabularies from the texts, random weights.
///
/// Question and context encoder begin with the same weights and mean pooling, so that they find
/// passages that share words with the question before any training.
public func makeScratchModel(
    _ size: ScratchSize, texts: [String], vocabularySize: Int, dropout: Float, seed: UInt64
) throws -> (model: RagModel, contextEncoder: DPREncoder, contextTokenizer: any Tokenizer) {
    let wordPiece = try WordPieceTrainer(vocabularySize: vocabularySize, minimumFrequency: 1).train(
        on: texts)
    // Words are met with a space before them inside passages and answers.
    let bytePair = try ByteBPETrainer(vocabularySize: vocabularySize, minimumFrequency: 1).train(
        on: texts.map { " " + $0 })

    var bert = BertConfiguration()
    bert.vocabSize = wordPiece.vocabularySize
    bert.hiddenSize = size.width
    bert.numHiddenLayers = size.encoderLayers
    bert.numAttentionHeads = size.heads
    bert.intermediateSize = 4 * size.width
    bert.maxPositionEmbeddings = 256
    bert.hiddenDropoutProb = dropout
    bert.attentionProbsDropoutProb = dropout
    if let pad = wordPiece.specialTokens.pad { bert.padTokenID = pad }
    func encoder(_ role: EncoderRole) -> DPREncoder {
        var configuration = DPRConfiguration(role: role, bert: bert)
        configuration.pooling = .mean
        return DPREncoder(configuration: configuration)
    }

    var bart = BartConfiguration()
    bart.vocabSize = bytePair.vocabularySize
    bart.dModel = size.width
    let stack = BartConfiguration.Stack(
        layers: size.generatorLayers, heads: size.heads, ffnDim: 4 * size.width)
    bart.encoder = stack
    bart.decoder = stack
    bart.maxPositionEmbeddings = 512
    bart.dropout = dropout
    // With BART's own 0.02 a model this small never begins to copy from what it reads.
    bart.initStd = 0.08

    var random = SeededGenerator(seed: seed)
    let (question, context) = (encoder(.question), encoder(.context))
    let generator = BartGenerator(configuration: bart)
    question.initialize(using: &random)
    generator.initialize(using: &random)
    setSinusoidalPositions(
        of: generator, named: "positions.weight", deviation: bart.initStd)
    context.shareValues(of: question)
    let model = try RagModel(
        questionEncoder: question, questionTokenizer: wordPiece, generator: generator,
        generatorTokenizer: bytePair)
    return (model, context, wordPiece)
}
