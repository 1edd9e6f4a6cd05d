import Foundation
import RAGKit

/// Loads a RAG checkpoint, and says so if its weights change their type.
public func openModel(_ directory: URL) throws -> RagModel {
    let model = try RagModel(contentsOf: directory)
    if !model.convertedTypes.isEmpty {
        let types = model.convertedTypes.map { "\($0)" }.joined(separator: ", ")
        note("weights in \(types) become Float32, and are saved as such")
    }
    return model
}

/// Where a model and what it reads lie.
public struct ModelSource: Sendable {
    /// A RAG checkpoint.
    public var model: URL
    /// Title, tab, text; one passage or document a line.
    public var knowledgeBase: URL?
    public var contextEncoder: URL?
    public var contextTokenizer: URL?
    /// A folder that holds `kb/` and `index/`, as training writes it.
    public var index: URL?
    /// Documents are cut into passages of so many words; 0 keeps each line whole.
    public var passageWords = 0
    public var marginalization: Marginalization?

    public init(model: URL) { self.model = model }

    /// Loads the model, and makes or opens the index of its passages.
    ///
    /// - Throws: what names the file that is missing or does not fit.
    public func open(huggingFace: Bool) throws -> RagModel {
        let model = try openModel(self.model)
        if let marginalization {
            model.configuration.marginalization = marginalization
            try model.loadGeneration(from: self.model)
        }
        if huggingFace { model.configuration.compatibility = .huggingFace }
        if let contextEncoder {
            let source = try model.loadContextEncoder(
                from: contextEncoder, tokenizer: contextTokenizer)
            note("context tokenizer: \(source)")
        }
        let base = try openKnowledgeBase()
        if let stored = try storedVectors(base) {
            model.retriever = try DenseRetriever(base, vectors: stored)
            return model
        }
        guard let encoder = model.contextEncoder, let tokenizer = model.contextTokenizer else {
            throw ProgramError(
                "'\(self.model.path)' has no ctx_encoder to make an index with: name one by "
                    + "--context-encoder-name, or an index by --index-path")
        }
        note("encoding \(base.count) passages")
        let vectors = try PassageEncoder(tokenizer: tokenizer).encode(base, with: encoder)
        model.retriever = try DenseRetriever(base, vectors: vectors)
        // The index is the encoder's own, so that encoding what was found again changes nothing.
        model.removeContextEncoder()
        return model
    }

    private func openKnowledgeBase() throws -> KnowledgeBase {
        if let file = knowledgeBase {
            let (reader, splitter) = passageInput(file, words: passageWords)
            return try KnowledgeBase(documents: reader.read(file).documents, splitter: splitter)
        }
        guard let index else {
            throw ProgramError("where are the passages? name them by --csv-path or --index-path")
        }
        let folder = index.appendingPathComponent("kb")
        let exists = FileManager.default.fileExists(atPath: folder.path)
        return try KnowledgeBase(opening: exists ? folder : index)
    }

    private func storedVectors(_ base: KnowledgeBase) throws -> Tensor? {
        guard let index else { return nil }
        let inner = index.appendingPathComponent("index")
        let isOutput = FileManager.default.fileExists(atPath: inner.path)
        let folder = isOutput ? inner : index
        guard FileManager.default.fileExists(atPath: folder.appendingPathComponent("CURRENT").path),
            let (version, faults) = try IndexVersionStore(directory: folder).openCurrent()
        else {
            throw ProgramError(
                "'\(index.path)' holds no index: it must be a folder with kb/ and index/, as "
                    + "finetune-rag --output-dir writes it")
        }
        for fault in faults { note("damaged index version passed over: \(fault)") }
        note("index version \(version.version), made at step \(version.manifest.step)")
        let (count, dimension) = (version.manifest.count, version.manifest.dimension)
        guard count == base.count else {
            throw RetrievalError.countMismatch(passages: base.count, vectors: count)
        }
        return withExtendedLifetime(version) {
            Tensor(version.vectors, shape: [count, dimension])
        }
    }
}

/// How a file of documents is read and cut into passages of so many words; 0 keeps them whole.
public func passageInput(_ file: URL, words: Int) -> (PassageReader, PassageSplitter) {
    // The reference's .csv files are tab-separated too.
    (
        PassageReader(format: file.pathExtension == "jsonl" ? .jsonl : .tsv),
        PassageSplitter(wordsPerPassage: words > 0 ? words : nil)
    )
}
