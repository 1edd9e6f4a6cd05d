// The example of README.md and of the guide GettingStarted, word for word, so that it compiles.
import Foundation
import RAGKit

func readmeExample(checkpoint: URL, encoder: URL, texts: URL, run: URL) async throws {
    let rag = try RagModel(contentsOf: checkpoint)  // what transformers saved, or RAGKit
    let contextEncoder = try DPREncoder(contentsOf: encoder, role: .context)
    let contextTokenizer = try AutoTokenizer.load(contentsOf: encoder)

    // Texts become passages, passages become vectors, vectors become an index.
    let base = try KnowledgeBase.build(from: [texts], at: run.appending(path: "kb")).knowledgeBase
    let vectors = try PassageEncoder(tokenizer: contextTokenizer)
        .encode(base, with: contextEncoder)
    rag.retriever = try DenseRetriever(base, vectors: vectors)

    for answer in try await rag.answer(["Where does the Danube flow?"]) {
        print(answer.text, answer.logProbability, answer.sources.map(\.passage.title))
    }

    // End to end: the loss reaches the context encoder, and the index follows it.
    try rag.setContextEncoder(contextEncoder, tokenizer: contextTokenizer)
    let task = try RagTrainingTask(rag, refresh: .blocking(every: 100))
    var arguments = TrainingArguments()
    arguments.outputDir = run
    let examples = try RagExample.read(jsonLines: run.appending(path: "train.jsonl"))
    let trainer = try Trainer(task, examples: examples, arguments: arguments)
    trainer.callbacks = [ProgressBar()]
    print(try await trainer.fit().losses)
}
