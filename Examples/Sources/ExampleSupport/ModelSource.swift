import Foundation
import RAGKit

/// The places of a model and of what it reads, as the command line names them.
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

    /// Loads the model, and opens the index of its passages or encodes them.
    ///
    /// - Throws: An error that names the file that is missing or does not fit.
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
        if let index {
            model.retriever = try stored(base, in: index)
        } else {
            model.retriever = try encoded(base, by: model)
            // The index is the encoder's own, so that encoding what was found again changes nothing.
            model.removeContextEncoder()
        }
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
        return try KnowledgeBase(contentsOf: index.folder("kb"))
    }

    /// The current version of a stored index, mapped.
    private func stored(_ base: KnowledgeBase, in index: URL) throws -> DenseRetriever {
        let folder = index.folder("index")
        guard FileManager.default.fileExists(atPath: folder.appendingPathComponent("CURRENT").path)
        else {
            throw ProgramError(
                "'\(index.path)' holds no index: it must be a folder with kb/ and index/, as "
                    + "finetune-rag --output-dir writes it")
        }
        let retriever = try DenseRetriever(base, store: IndexStore(directory: folder)) {
            note("damaged index version passed over: \($0)")
        }
        let version = retriever.version
        note("index version \(version.number), made at step \(version.step)")
        return retriever
    }

    private func encoded(_ base: KnowledgeBase, by model: RagModel) throws -> DenseRetriever {
        guard let encoder = model.contextEncoder, let tokenizer = model.contextTokenizer else {
            throw ProgramError(
                "'\(self.model.path)' has no ctx_encoder to make an index with: name one by "
                    + "--context-encoder-name, or an index by --index-path")
        }
        note("encoding \(base.count) passages")
        return try DenseRetriever(
            base, vectors: PassageEncoder(tokenizer: tokenizer).encode(base, with: encoder))
    }
}

extension URL {
    /// A folder inside this one, or this one itself where there is none of that name.
    fileprivate func folder(_ name: String) -> URL {
        let inner = appendingPathComponent(name)
        return FileManager.default.fileExists(atPath: inner.path) ? inner : self
    }
}

/// Loads a RAG checkpoint, and says so if its weights change their type.
public func openModel(_ directory: URL) throws -> RagModel {
    let model = try RagModel(contentsOf: directory)
    if !model.convertedTypes.isEmpty {
        let types = model.convertedTypes.map { "\($0)" }.joined(separator: ", ")
        note("weights in \(types) become Float32, and are saved as such")
    }
    return model
}

/// The reader of a file of documents, and the splitter into passages of so many words; 0 keeps
/// documents whole.
public func passageInput(_ file: URL, words: Int) -> (PassageReader, PassageSplitter) {
    // The reference's .csv files are tab-separated too.
    (
        PassageReader(format: file.pathExtension == "jsonl" ? .jsonl : .tsv),
        PassageSplitter(wordsPerPassage: words > 0 ? words : nil)
    )
}
