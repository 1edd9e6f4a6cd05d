public import Foundation

/// Reads documents with titles from text files: TSV, CSV and JSON lines, in UTF-8.
///
/// | format | a row |
/// | --- | --- |
/// | `.tsv` | `title<TAB>text`, cut at the first tab; nothing is quoted, `"` is a plain character |
/// | `.csv` | `title,text`, quoted after RFC 4180: `"a, ""b"""`, line breaks inside quotes |
/// | `.jsonl` | `{"title": …, "text": …}`, optionally `"id"`; other keys are skipped |
///
/// TSV and CSV may begin with a line of column names, which must contain `text` and may contain
/// `title`, `id` and others. A byte order mark and line ends of `\r\n` are understood. Blank lines
/// are skipped.
///
/// A row that breaks these rules ends the import, or is skipped and counted: see ``onBadRow``.
public struct PassageReader: Sendable, Hashable {
    public enum Format: Sendable, Hashable {
        case tsv, csv, jsonl
    }

    /// True if the first line of a TSV or CSV file names the columns.
    public enum Header: Sendable, Hashable {
        /// It does if it has a column `title` and a column `text`.
        case automatic
        case present
        case absent
    }

    public enum BadRowPolicy: Sendable, Hashable {
        case fail, skip
    }

    /// The format; nil goes by the file's ending (`.csv`, `.jsonl`, else TSV).
    public var format: Format?
    public var header: Header
    public var onBadRow: BadRowPolicy
    /// For TSV: read as the reference does, by the rules of pandas.
    ///
    /// A field that begins with `"` goes to the next single `"`, over line ends if need be; a lone
    /// `\r` ends a line; texts such as `NA`, `null` or `nan` count as missing, so that their row is
    /// left out, and titles such as these become empty. A header is not looked for unless
    /// ``header`` says that it is there. (Columns of nothing but numbers stay texts.)
    public var pandasQuoting: Bool

    public init(
        format: Format? = nil, header: Header = .automatic, onBadRow: BadRowPolicy = .fail,
        pandasQuoting: Bool = false
    ) {
        self.format = format
        self.header = header
        self.onBadRow = onBadRow
        self.pandasQuoting = pandasQuoting
    }

    /// Reads all documents of a file.
    ///
    /// - Throws: ``KnowledgeBaseError/badRow(file:line:byte:reason:)``,
    ///   ``KnowledgeBaseError/noPassages(source:reason:)`` if there is no row, ``FileError``.
    public func read(_ url: URL) throws -> (documents: [SourceDocument], report: ImportReport) {
        var documents: [SourceDocument] = []
        var report = ImportReport()
        try forEachDocument(in: url, report: &report) { documents.append($0) }
        return (documents, report)
    }

    /// Reads the documents of a file one after the other, so that they need not fit into memory.
    ///
    /// Documents whose text is empty or white space are given too: the splitter leaves them out.
    ///
    /// - Parameter report: Counts are added to it.
    /// - Throws: What `body` throws, and as ``read(_:)``.
    public func forEachDocument(
        in url: URL, report: inout ImportReport, _ body: (SourceDocument) throws -> Void
    ) throws {
        let file = try MappedFile(contentsOf: url)
        let rowsBefore = report.rows
        try withExtendedLifetime(file) {
            try checkEncoding(file)
            switch format ?? PassageReader.format(of: url) {
            case .jsonl:
                var rows = JSONRows(file.bytes, file: url.lastPathComponent)
                try forEach(&rows, in: file, &report) { document, _ in try body(document) }
            case .csv:
                let rows = QuotedRows(file.bytes, separator: ",", dialect: .rfc4180)
                try forEachRow(of: rows, in: file, &report, body)
            case .tsv where pandasQuoting:
                let rows = QuotedRows(file.bytes, separator: "\t", dialect: .pandas)
                try forEachRow(of: rows, in: file, &report, body)
            case .tsv:
                try forEachRow(of: TabRows(file.bytes), in: file, &report, body)
            }
        }
        if report.rows == rowsBefore {
            throw KnowledgeBaseError.noPassages(source: url.path, reason: "the file has no rows")
        }
    }

    private static func format(of url: URL) -> Format {
        switch url.pathExtension.lowercased() {
        case "csv": .csv
        case "jsonl", "ndjson": .jsonl
        default: .tsv
        }
    }

    private func checkEncoding(_ file: MappedFile) throws {
        let problem: String
        if file.bytes.starts(with: [0xFF, 0xFE]) || file.bytes.starts(with: [0xFE, 0xFF]) {
            problem = "the file is in UTF-16; convert it to UTF-8"
        } else if file.bytes.starts(with: [0x1F, 0x8B]) {
            problem = "the file is compressed with gzip; unpack it"
        } else {
            return
        }
        throw KnowledgeBaseError.badRow(file: file.path, line: 1, byte: 0, reason: problem)
    }

    /// Gives the rows to `body`, which may find fault with one too; counts rows and bad rows.
    private func forEach<Rows: RowSource>(
        _ rows: inout Rows, in file: MappedFile, _ report: inout ImportReport,
        _ body: (Rows.Row, inout ImportReport) throws -> Void
    ) throws {
        while true {
            do {
                guard let row = try rows.next() else { break }
                report.rows += 1
                try body(row, &report)
            } catch let fault as RowFault {
                if !fault.isRowCounted { report.rows += 1 }
                let error = KnowledgeBaseError.badRow(
                    file: file.path, line: fault.line, byte: fault.byte, reason: fault.reason)
                guard onBadRow == .skip else { throw error }
                report.note(error)
            }
        }
        report.blankLines += rows.blankLines
    }

    private func forEachRow<Rows: TableRows>(
        of table: Rows, in file: MappedFile, _ report: inout ImportReport,
        _ body: (SourceDocument) throws -> Void
    ) throws where Rows.Row == TableRow {
        var rows = table
        let columns = try header(of: &rows, in: file) ?? .titleAndText
        rows.columnCount = columns.count
        let name = URL(fileURLWithPath: file.path).lastPathComponent
        try forEach(&rows, in: file, &report) { row, report in
            if let document = try document(row, columns, name) {
                try body(document)
            } else {
                report.emptyTexts += 1
            }
        }
    }

    /// Reads the header if there is one, else leaves `rows` where they begin.
    private func header<Rows: TableRows>(
        of rows: inout Rows, in file: MappedFile
    ) throws -> Columns? where Rows.Row == TableRow {
        guard header == .present || (header == .automatic && !pandasQuoting) else { return nil }
        var copy = rows
        // What is wrong with a first row that is no header is found when it is read as a row.
        let first = try? copy.next()
        if let first, let columns = Columns(named: first.fields),
            header == .present || columns.title != nil
        {
            rows = copy
            return columns
        }
        guard header == .present else { return nil }
        throw KnowledgeBaseError.badRow(
            file: file.path, line: first?.line ?? 1, byte: first?.start ?? 0,
            reason: "the header must name a column 'text'")
    }

    /// - Returns: Nil if the text is missing by the rules of pandas.
    private func document(
        _ row: TableRow, _ columns: Columns, _ name: String
    ) throws -> SourceDocument? {
        var fields = row.fields
        // Pandas fills up short rows with missing values.
        if pandasQuoting {
            while fields.count < columns.count { fields.append("") }
        }
        guard fields.count == columns.count else {
            let found = fields.count == 1 ? "1 column" : "\(fields.count) columns"
            throw RowFault(
                line: row.line, byte: row.start,
                reason: "\(columns.count) columns expected "
                    + "(\(columns.names.joined(separator: ", "))), found \(found)",
                isRowCounted: true)
        }
        var title = columns.title.map { fields[$0] } ?? ""
        let text = fields[columns.text]
        if pandasQuoting {
            if MissingValues.pandas.contains(text) { return nil }
            if MissingValues.pandas.contains(title) { title = "" }
        }
        let id = columns.id.map { fields[$0] } ?? "\(name):\(row.line)"
        return SourceDocument(id: id, title: title, text: text)
    }
}

/// The columns of a file, by their contents.
private struct Columns {
    var names: [String]
    var id: Int?
    var title: Int?
    var text: Int
    var count: Int { names.count }

    static let titleAndText = Columns(names: ["title", "text"], id: nil, title: 0, text: 1)

    init(names: [String], id: Int?, title: Int?, text: Int) {
        (self.names, self.id, self.title, self.text) = (names, id, title, text)
    }

    /// The columns of a header; nil if there is no column of texts, or a name is there twice.
    init?(named names: [String]) {
        guard let text = names.firstIndex(of: "text"), Set(names).count == names.count else {
            return nil
        }
        self.init(
            names: names, id: names.firstIndex(of: "id"), title: names.firstIndex(of: "title"),
            text: text)
    }
}

private enum MissingValues {
    /// The texts that pandas reads as a missing value by default.
    static let pandas: Set<String> = [
        "", "#N/A", "#N/A N/A", "#NA", "-1.#IND", "-1.#QNAN", "-NaN", "-nan", "1.#IND", "1.#QNAN",
        "<NA>", "N/A", "NA", "NULL", "NaN", "None", "n/a", "nan", "null",
    ]
}
