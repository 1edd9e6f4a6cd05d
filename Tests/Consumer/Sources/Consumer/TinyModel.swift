import RAGKit

/// Five passages, in memory.
let passages = [
    ("Helium", "Helium is a colorless gas. Its atomic number is two."),
    ("Iron", "Iron is a metal. Its atomic number is twenty six."),
    ("The Danube", "The Danube flows from Germany to the Black Sea."),
    ("The Nile", "The Nile flows north to the Mediterranean Sea."),
    ("The otter", "The otter lives in rivers and eats fish."),
].enumerated().map { Passage(id: PassageID($0), title: $1.0, text: $1.1) }

let examples = [
    RagExample(question: "What is the atomic number of helium?", answers: ["two"]),
    RagExample(question: "Where does the Danube flow?", answers: ["to the Black Sea"]),
    RagExample(question: "What does the otter eat?", answers: ["fish"]),
]

/// A RAG model of a few thousand weights that trains end to end: vocabularies made from the
/// passages, random encoders and generator, and an index that the context encoder made.
func makeTinyModel(seed: UInt64) throws -> RagModel {
    let texts = passages.flatMap { [$0.title, $0.text] } + examples.map(\.question)
    let words = try WordPieceTrainer(vocabularySize: 200, minimumFrequency: 1).train(on: texts)
    let bytes = try ByteBPETrainer(vocabularySize: 400).train(on: texts.map { " " + $0 })

    var bert = BertConfiguration()
    bert.vocabSize = words.vocabularySize
    bert.hiddenSize = 32
    bert.numHiddenLayers = 1
    bert.numAttentionHeads = 2
    bert.intermediateSize = 64
    bert.maxPositionEmbeddings = 64
    var bart = BartConfiguration()
    bart.vocabSize = bytes.vocabularySize
    bart.dModel = 32
    bart.encoder = BartConfiguration.Stack(layers: 1, heads: 2, ffnDim: 64)
    bart.decoder = bart.encoder
    bart.maxPositionEmbeddings = 128

    var random = SeededGenerator(seed: seed)
    let question = DPREncoder(configuration: DPRConfiguration(role: .question, bert: bert))
    let context = DPREncoder(configuration: DPRConfiguration(role: .context, bert: bert))
    let generator = BartGenerator(configuration: bart)
    question.initialize(using: &random)
    context.initialize(using: &random)
    generator.initialize(using: &random)

    let knowledge = KnowledgeBase(passages: passages)
    let vectors = try PassageEncoder(tokenizer: words).encode(knowledge, with: context)
    let rag = try RagModel(
        questionEncoder: question, questionTokenizer: words,
        generator: generator, generatorTokenizer: bytes,
        retriever: try DenseRetriever(knowledge, vectors: vectors))
    rag.configuration.nDocs = 2
    rag.configuration.maxCombinedLength = 64
    try rag.setContextEncoder(context, tokenizer: words)
    return rag
}

/// The settings of three steps on all examples.
var threeSteps: TrainingArguments {
    var arguments = TrainingArguments()
    arguments.maxSteps = 3
    arguments.trainBatchSize = examples.count
    arguments.learningRate = 1e-3
    return arguments
}
