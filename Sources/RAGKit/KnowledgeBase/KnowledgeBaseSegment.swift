import Foundation

/// Some of the passages of a knowledge base, in a file of columns that is never changed.
struct KnowledgeBaseSegment: Sendable {
    static let fileName = "passages.safetensors"

    let count: Int
    private let file: MappedFile
    private let titles: TextColumn
    private let texts: TextColumn
    private let documents: TextColumn
    private let pieces: SafetensorsFile.Entry

    /// - Throws: ``VersionError``, ``CheckpointError``, ``FileError``.
    init(contentsOf url: URL, count: Int) throws {
        let tensors = try SafetensorsFile(contentsOf: url)
        self.count = count
        file = tensors.file
        titles = try TextColumn("title", in: tensors, count: count)
        texts = try TextColumn("text", in: tensors, count: count)
        documents = try TextColumn("document", in: tensors, count: count)
        pieces = try tensors.entry(named: "piece", dtype: .int64)
        guard pieces.count == count else {
            throw KnowledgeBase.kind.damaged(
                url, "it has \(pieces.count) pieces for \(count) passages")
        }
    }

    /// - Precondition: `row` is within the segment.
    func passage(_ row: Int, id: PassageID) throws -> Passage {
        let piece = pieces.element(row, as: Int64.self)
        return Passage(
            id: id, title: try titles.text(row), text: try texts.text(row),
            provenance: Provenance(document: try documents.text(row), piece: Int(piece)))
    }
}

/// A column of texts: UTF-8 bytes back to back, and where each begins.
private struct TextColumn: Sendable {
    private let name: String
    private let offsets: SafetensorsFile.Entry
    private let bytes: SafetensorsFile.Entry

    init(_ name: String, in tensors: SafetensorsFile, count: Int) throws {
        self.name = name
        offsets = try tensors.entry(named: "\(name).offsets", dtype: .int64)
        bytes = try tensors.entry(named: name, dtype: .uint8)
        guard offsets.count == count + 1 else {
            throw damaged("it has \(offsets.count - 1) of \(count)")
        }
        guard offsets.element(0, as: Int64.self) == 0,
            offsets.element(count, as: Int64.self) == Int64(bytes.count)
        else { throw damaged("its offsets do not go from 0 to \(bytes.count)") }
    }

    func text(_ row: Int) throws -> String {
        let begin = offsets.element(row, as: Int64.self)
        let end = offsets.element(row + 1, as: Int64.self)
        guard begin >= 0, begin <= end, end <= bytes.count else {
            throw damaged("row \(row) lies at \(begin)..<\(end) of \(bytes.count)")
        }
        let part = UnsafeRawBufferPointer(rebasing: bytes.bytes[Int(begin)..<Int(end)])
        guard let text = String(validating: part, as: UTF8.self) else {
            throw damaged("row \(row) is not UTF-8")
        }
        return text
    }

    private func damaged(_ reason: String) -> VersionError {
        KnowledgeBase.kind.damaged(
            URL(fileURLWithPath: offsets.file.path), "column '\(name)': \(reason)")
    }
}

/// Gathers passages and writes them as a segment.
struct SegmentBuilder {
    private(set) var count = 0
    private var titles = TextColumnBuilder("title")
    private var texts = TextColumnBuilder("text")
    private var documents = TextColumnBuilder("document")
    private var pieces: [Int64] = []

    /// The memory that the passages take, in bytes.
    var byteCount: Int { titles.byteCount + texts.byteCount + documents.byteCount + 8 * count }

    mutating func append(title: String, text: String, provenance: Provenance) {
        titles.append(title)
        texts.append(text)
        documents.append(provenance.document)
        pieces.append(Int64(provenance.piece))
        count += 1
    }

    func write(to directory: URL) throws {
        // The numbers come first, so that they lie at multiples of 8 bytes.
        var writer = SafetensorsWriter(metadata: ["format": "ragkit-passages"])
        let columns = [titles, texts, documents]
        for column in columns { try column.addOffsets(to: &writer) }
        try writer.add("piece", dtype: .int64, shape: [count], values: pieces)
        for column in columns { try column.addBytes(to: &writer) }
        try writer.write(to: directory.appendingPathComponent(KnowledgeBaseSegment.fileName))
    }
}

private struct TextColumnBuilder {
    private let name: String
    private var offsets: [Int64] = [0]
    private var bytes: [UInt8] = []

    init(_ name: String) { self.name = name }

    var byteCount: Int { bytes.count + 8 * offsets.count }

    mutating func append(_ text: String) {
        bytes.append(contentsOf: text.utf8)
        offsets.append(Int64(bytes.count))
    }

    func addOffsets(to writer: inout SafetensorsWriter) throws {
        try writer.add("\(name).offsets", dtype: .int64, shape: [offsets.count], values: offsets)
    }

    func addBytes(to writer: inout SafetensorsWriter) throws {
        try writer.add(name, dtype: .uint8, shape: [bytes.count], values: bytes)
    }
}
