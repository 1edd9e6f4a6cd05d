public import Foundation
import Synchronization

/// The passages that a model retrieves from, in memory or in a folder that is mapped into memory.
///
/// A folder holds `segments/0001/` with columns in safetensors files, a manifest with checksums, and
/// `CURRENT`, which names the manifest. Training reads it only: vectors and indexes belong to a
/// run. Passages are numbered from 0 in the order they were given; a number is never changed and
/// never given to another passage.
///
/// All functions may be called from many tasks at once.
public final class KnowledgeBase: Sendable {
    /// The number of passages. It may be 0; retrieval from an empty base finds nothing.
    public let count: Int
    /// The folder that this was opened from; nil if it is in memory.
    public let directory: URL?
    let storage: Storage
    let state: Mutex<State>

    enum Storage: Sendable {
        case memory([Passage])
        case segments([Part])
    }

    struct Part: Sendable {
        var start: Int
        var segment: KnowledgeBaseSegment
    }

    struct State: Sendable {
        var manifest: KnowledgeBaseManifest?
        var tokens: [String: TokenSequences] = [:]
    }

    init(directory: URL?, storage: Storage, state: State) {
        switch storage {
        case .memory(let passages): count = passages.count
        case .segments(let parts): count = parts.last.map { $0.start + $0.segment.count } ?? 0
        }
        self.directory = directory
        self.storage = storage
        self.state = Mutex(state)
    }

    /// Makes a knowledge base in memory.
    ///
    /// - Precondition: The ids are 0, 1, 2, …
    public convenience init(passages: [Passage]) {
        for (place, passage) in passages.enumerated() {
            precondition(
                passage.id.rawValue == place, "passage \(passage.id) is at place \(place)")
        }
        self.init(directory: nil, storage: .memory(passages), state: State())
    }

    /// Makes a knowledge base in memory from whole texts.
    ///
    /// - Throws: ``KnowledgeBaseError/noPassages(source:reason:)`` if no text has a word.
    public convenience init(
        documents: some Sequence<SourceDocument>, splitter: PassageSplitter = PassageSplitter()
    ) throws {
        var passages: [Passage] = []
        var report = ImportReport()
        for document in documents {
            report.rows += 1
            splitter.split(document, &report) { title, text, provenance in
                passages.append(
                    Passage(
                        id: PassageID(passages.count), title: title, text: text,
                        provenance: provenance))
            }
        }
        guard !passages.isEmpty else {
            throw KnowledgeBaseError.noPassages(
                source: "documents", reason: "\(report.rows) texts, none of them with a word")
        }
        self.init(passages: passages)
    }

    /// A passage.
    ///
    /// - Throws: ``KnowledgeBaseError/noSuchPassage(id:count:)``, or
    ///   ``VersionError/damaged(file:reason:remedy:)`` if the file's columns contradict each other.
    public func passage(_ id: PassageID) throws -> Passage {
        guard id.rawValue >= 0 && id.rawValue < count else {
            throw KnowledgeBaseError.noSuchPassage(id: id, count: count)
        }
        switch storage {
        case .memory(let passages):
            return passages[id.rawValue]
        case .segments(let parts):
            let part = parts[parts.partition(before: id.rawValue, \.start)]
            return try part.segment.passage(id.rawValue - part.start, id: id)
        }
    }

    /// True if the passage of that id is this one, word for word.
    func holds(_ passage: Passage) -> Bool { (try? self.passage(passage.id)) == passage }

    /// A passage; throws as ``passage(_:)``.
    public subscript(id: PassageID) -> Passage {
        get throws { try passage(id) }
    }

    /// The manifest that this was opened at, by name; empty for a base in memory.
    public var version: String { state.withLock { $0.manifest?.name } ?? "" }

    /// Passages in the order of their ids; throws as ``passage(_:)``.
    public func passages(_ ids: some Sequence<PassageID>) throws -> [Passage] {
        try ids.map { try passage($0) }
    }

    // MARK: - Token ids

    /// The fingerprints of the tokenizers whose ids are here, sorted.
    public var tokenFingerprints: [String] { state.withLock { $0.tokens.keys.sorted() } }

    /// The token ids of all passages made by one tokenizer; nil if they were not added.
    public func tokenIDs(fingerprint: String) -> TokenSequences? {
        state.withLock { $0.tokens[fingerprint] }
    }

    /// The place where added token ids are kept.
    public enum TokenStorageKind: Sendable {
        /// Beside the passages: in the folder, or in memory if the base is.
        case besidePassages
        /// In memory, as long as this object lives. Training uses this: it writes nothing here.
        case memory
    }

    /// Adds the token ids of all passages, in place of those of the same fingerprint.
    ///
    /// - Parameters:
    ///   - offsets: Passage `i` has `ids[offsets[i]..<offsets[i + 1]]`; `count + 1` numbers.
    /// - Throws: ``KnowledgeBaseError/tokensDoNotFit(fingerprint:reason:)``,
    ///   ``VersionError/busy(directory:process:)``, ``FileError``.
    func addTokenIDs(
        fingerprint: String, offsets: [Int], ids: [Int32],
        storage: TokenStorageKind = .besidePassages
    ) throws {
        guard offsets.count == count + 1, offsets.first == 0, offsets.last == ids.count,
            zip(offsets, offsets.dropFirst()).allSatisfy({ $0 <= $1 })
        else {
            throw KnowledgeBaseError.tokensDoNotFit(
                fingerprint: fingerprint,
                reason: "\(count) passages need \(count + 1) offsets "
                    + "ascending from 0 to \(ids.count); given are \(offsets.count)")
        }
        _ = try addTokenIDs(fingerprint: fingerprint, storage: storage) { rows in
            rows.map { Array(ids[offsets[$0]..<offsets[$0 + 1]]) }
        }
    }

    /// Adds the token ids of all passages, asking for some passages at a time.
    ///
    /// - Parameter tokenize: Gives the ids of each passage that it is given, in order.
    /// - Returns: The ids.
    /// - Throws: What `tokenize` throws, and as the other `addTokenIDs`.
    @discardableResult
    func addTokenIDs(
        fingerprint: String, storage: TokenStorageKind = .besidePassages,
        tokenize: ([Passage]) throws -> [[Int32]]
    ) throws -> TokenSequences {
        try addTokenIDs(fingerprint: fingerprint, storage: storage) { rows in
            try tokenize(passages(rows.lazy.map { PassageID($0) }))
        }
    }

    private func addTokenIDs(
        fingerprint: String, storage: TokenStorageKind, rows: (Range<Int>) throws -> [[Int32]]
    ) throws -> TokenSequences {
        func storageOf(_ range: Range<Int>) throws -> TokenStorage {
            var offsets: [Int64] = [0]
            var ids: [Int32] = []
            for start in stride(from: range.lowerBound, to: range.upperBound, by: 1024) {
                let chunk = start..<min(start + 1024, range.upperBound)
                let lists = try rows(chunk)
                guard lists.count == chunk.count else {
                    throw KnowledgeBaseError.tokensDoNotFit(
                        fingerprint: fingerprint,
                        reason: "\(lists.count) lists of ids for \(chunk.count) passages")
                }
                for list in lists {
                    ids.append(contentsOf: list)
                    offsets.append(Int64(ids.count))
                }
            }
            return TokenStorage(offsets: offsets, ids: ids)
        }
        if storage == .besidePassages, let directory {
            return try writeTokenIDs(fingerprint: fingerprint, in: directory, storageOf)
        }
        let sequences = TokenSequences(
            fingerprint: fingerprint, storages: [try storageOf(0..<count)])
        state.withLock { $0.tokens[fingerprint] = sequences }
        return sequences
    }
}

extension PassageSplitter {
    /// Gives the passages of a document to `body`, or counts it as empty.
    func split(
        _ document: SourceDocument, _ report: inout ImportReport,
        _ body: (_ title: String, _ text: String, Provenance) throws -> Void
    ) rethrows {
        let pieces = passages(of: document.text)
        if pieces.isEmpty { report.emptyTexts += 1 }
        for (number, piece) in pieces.enumerated() {
            try body(document.title, piece, Provenance(document: document.id, piece: number))
            report.passages += 1
        }
    }
}
