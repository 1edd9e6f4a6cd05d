import Foundation
import RAGKit

// Top-level code runs on the main actor: everything below is called from there.
let rag = try makeTinyModel(seed: 7)
let task = try RagTrainingTask(rag, refresh: .blocking(every: 2))
let trainer = try Trainer(task, examples: examples, arguments: threeSteps)
trainer.callbacks = [
    EventHandler { if case .scalars(let news) = $0 { print(news.name, news.values) } }
]
let report = try await trainer.fit()
print("main actor:", report.losses)
guard report.losses.count == 3, report.losses.allSatisfy(\.isFinite),
    task.refresher?.reports.count == 2
else {
    fatalError("three finite losses and two refreshes were expected")
}

// The same from an actor gives the same losses.
let assistant = Assistant(try makeTinyModel(seed: 7))
let losses = try await assistant.train()
print("actor:     ", losses)
guard losses == report.losses else { fatalError("the actor's losses differ") }
guard let answer = try await assistant.answer("Where does the Nile flow?") else {
    fatalError("there is no answer")
}
print("answer:    ", answer.text, answer.sources.map(\.passage.title))

// What was trained is saved, and the example of the README runs on it.
let folder = FileManager.default.temporaryDirectory.appending(path: "ragkit-\(UUID().uuidString)")
try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
defer { try? FileManager.default.removeItem(at: folder) }
try rag.save(to: folder.appending(path: "model"))
let texts = folder.appending(path: "texts.tsv")
try passages.map { "\($0.title)\t\($0.text)\n" }.joined()
    .write(to: texts, atomically: true, encoding: .utf8)
try #"{"question": "What does the otter eat?", "answers": ["fish"]}"#
    .write(to: folder.appending(path: "train.jsonl"), atomically: true, encoding: .utf8)
try await readmeExample(
    checkpoint: folder.appending(path: "model"),
    encoder: folder.appending(path: "model/ctx_encoder"), texts: texts, run: folder)

// A model of one's own, by the guide: an operator, modules, a retriever and a task.
try await checkRetriever()
let x = Tensor([-40, 0.5, 20], shape: [3]).variable()
let slopes = gradients(of: x.softCapped(at: 30).sum(), for: [x])[0].elements
let expected = [-40, 0.5, 20].map { 1 - pow(tanh($0 / 30), 2) }
guard zip(slopes, expected).allSatisfy({ abs(Double($0) - $1) < 1e-5 }) else {
    fatalError("the gradient of softCapped is \(slopes), expected \(expected)")
}
let ownLosses = try await trainOwnModel()
let (early, late) = (ownLosses.prefix(10).reduce(0, +) / 10, ownLosses.suffix(10).reduce(0, +) / 10)
print("own model: ", early, late)
guard ownLosses.count == 40, late < early - 0.1 else {
    fatalError("the loss was expected to fall in forty steps: \(ownLosses)")
}
