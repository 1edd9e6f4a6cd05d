/// The checked header of a safetensors file.
struct SafetensorsHeader: Sendable {
    struct Record: Sendable {
        var name: String
        var dtype: SafetensorsDType
        /// The place of the shape in ``SafetensorsHeader/dimensions``.
        var shape: Range<Int>
        /// The beginning and end of the tensor, in bytes from ``SafetensorsHeader/dataOffset``.
        var begin: Int
        var end: Int
        /// The place where the header speaks of it, in bytes from the start of the file, for messages.
        var offset: Int
    }

    /// The tensors in the order of their data.
    private(set) var records: [Record] = []
    /// The shapes of all tensors back to back: an array for each would double the time to open.
    private(set) var dimensions: [Int] = []
    /// The place of each name in `records`.
    private(set) var index: [String: Int] = [:]
    private(set) var metadata: [String: String] = [:]
    /// The first byte after the header.
    let dataOffset: Int
    private let path: String
    private var lastType = (text: "F32", dtype: SafetensorsDType.float32)

    init(_ file: MappedFile) throws {
        path = file.path
        let bytes = file.bytes
        func malformed(_ offset: Int, _ reason: String) -> CheckpointError {
            .malformed(file: file.path, offset: offset, reason: reason)
        }
        guard bytes.count >= 8 else {
            throw malformed(
                bytes.count, "the file ends; a safetensors file begins with 8 bytes of length")
        }
        let length = UInt64(littleEndian: bytes.loadUnaligned(as: UInt64.self))
        guard length <= SafetensorsFile.maximumHeaderSize else {
            let hint = ForeignFile.sentence(for: bytes).map { "; \($0)" } ?? ""
            throw malformed(
                0,
                "the header claims \(length) bytes, allowed are "
                    + "\(SafetensorsFile.maximumHeaderSize)\(hint)")
        }
        guard Int(length) <= bytes.count - 8 else {
            throw malformed(
                0,
                "the header claims \(length) bytes, but the file has only \(bytes.count); "
                    + "it is cut off: copy or download it again")
        }
        dataOffset = 8 + Int(length)
        guard length > 0, bytes[8] == UInt8(ascii: "{") else {
            throw malformed(8, "the header does not begin with '{'")
        }
        do {
            try parse(UnsafeRawBufferPointer(rebasing: bytes[8..<dataOffset]))
        } catch let failure as JSONScanner.Failure {
            throw malformed(8 + failure.offset, failure.reason)
        }
        try checkCoverage(of: bytes.count - dataOffset)
    }

    // MARK: - Parsing

    private mutating func parse(_ text: UnsafeRawBufferPointer) throws {
        var scanner = JSONScanner(text)
        var hasMetadata = false
        records.reserveCapacity(text.count / 49)  // the shortest description of a tensor
        try scanner.object { scanner, name, offset in
            if name == "__metadata__" {
                guard !hasMetadata else {
                    throw scanner.failure("'__metadata__' is there twice", at: offset)
                }
                hasMetadata = true
                metadata = try SafetensorsHeader.metadata(&scanner)
                return
            }
            records.append(try record(name, &scanner, offset))
        }
        try scanner.expectEnd()

        // Writers may list tensors in any order; what counts is the order of the data.
        let isSorted = records.indices.dropFirst().allSatisfy { place in
            // Names the fields, since whole records would be copied a million times.
            records[place - 1].begin < records[place].begin
                || SafetensorsHeader.isBefore(records[place - 1], records[place])
        }
        if !isSorted { records.sort(by: SafetensorsHeader.isBefore) }
        index.reserveCapacity(records.count)
        for place in records.indices {
            guard index.updateValue(place, forKey: records[place].name) == nil else {
                throw JSONScanner.Failure(
                    offset: records[place].offset - 8,
                    reason: "tensor '\(records[place].name)' is there twice")
            }
        }
    }

    private static func isBefore(_ a: Record, _ b: Record) -> Bool {
        (a.begin, a.end, a.offset) < (b.begin, b.end, b.offset)
    }

    private static func metadata(_ scanner: inout JSONScanner) throws -> [String: String] {
        var texts: [String: String] = [:]
        try scanner.object { scanner, key, offset in
            let text = try scanner.string()
            guard texts.updateValue(text, forKey: key) == nil else {
                throw scanner.failure("metadata key '\(key)' is there twice", at: offset)
            }
        }
        return texts
    }

    private mutating func record(
        _ name: String, _ scanner: inout JSONScanner, _ offset: Int
    ) throws -> Record {
        var dtype: SafetensorsDType?
        var shape: Range<Int>?
        var range: (begin: Int, end: Int)?
        do {
            try scanner.object { scanner, key, offset in
                let isRepeated: Bool
                switch key {
                case "dtype":
                    isRepeated = dtype != nil
                    dtype = try type(of: name, &scanner)
                case "shape":
                    isRepeated = shape != nil
                    let start = dimensions.count
                    try appendShape(&scanner)
                    shape = start..<dimensions.count
                case "data_offsets":
                    isRepeated = range != nil
                    range = try SafetensorsHeader.pair(&scanner)
                default:
                    // It could change what the bytes mean, so it must not be skipped.
                    throw scanner.failure("unknown key '\(key)'", at: offset)
                }
                if isRepeated { throw scanner.failure("'\(key)' is there twice", at: offset) }
            }
        } catch let failure as JSONScanner.Failure {
            throw JSONScanner.Failure(
                offset: failure.offset, reason: "tensor '\(name)': \(failure.reason)")
        }
        guard let dtype, let shape, let range else {
            throw scanner.failure(
                "tensor '\(name)' needs dtype, shape and data_offsets", at: offset)
        }
        guard range.begin <= range.end else {
            throw scanner.failure(
                "tensor '\(name)' ends at \(range.end), before it begins at \(range.begin)",
                at: offset)
        }
        let sizes = dimensions[shape]
        guard let byteCount = dtype.byteCount(shape: sizes) else {
            throw scanner.failure("tensor '\(name)': the shape \(sizes) is too large", at: offset)
        }
        guard byteCount == range.end - range.begin else {
            throw scanner.failure(
                "tensor '\(name)' of shape \(sizes) and type \(dtype.rawValue) needs \(byteCount) "
                    + "bytes, its offsets give it \(range.end - range.begin)", at: offset)
        }
        return Record(
            name: name, dtype: dtype, shape: shape, begin: range.begin, end: range.end,
            offset: 8 + offset)
    }

    private mutating func type(
        of name: String, _ scanner: inout JSONScanner
    ) throws -> SafetensorsDType {
        let text = try scanner.string()
        // Most files have one type, which is found without going through the list.
        if text == lastType.text { return lastType.dtype }
        if let dtype = SafetensorsDType(rawValue: text) {
            lastType = (text, dtype)
            return dtype
        }
        let known = SafetensorsDType.allCases.map(\.rawValue).joined(separator: ", ")
        throw CheckpointError.wrongType(
            file: path, tensor: name, expected: "one of \(known)", found: "'\(text)'")
    }

    /// Reads an array of whole numbers from 0 into `dimensions`.
    private mutating func appendShape(_ scanner: inout JSONScanner) throws {
        let limit = dimensions.count + 64
        try scanner.array { scanner in
            let value = try SafetensorsHeader.natural(&scanner)
            guard dimensions.count < limit else {
                throw scanner.failure("a shape of more than 64 numbers")
            }
            dimensions.append(value)
        }
    }

    /// Reads an array of two whole numbers from 0.
    private static func pair(_ scanner: inout JSONScanner) throws -> (begin: Int, end: Int) {
        try scanner.expect("[")
        let begin = try natural(&scanner)
        try scanner.expect(",")
        let end = try natural(&scanner)
        try scanner.expect("]")
        return (begin, end)
    }

    private static func natural(_ scanner: inout JSONScanner) throws -> Int {
        let value = try scanner.integer()
        guard value >= 0 else { throw scanner.failure("negative number \(value)") }
        return value
    }

    // MARK: - Coverage

    /// Checks that the tensors fill the data from 0 to `count`, each beginning where one ends.
    private func checkCoverage(of count: Int) throws {
        var position = 0
        for record in records {
            guard record.begin == position else {
                let what = record.begin < position ? "overlaps the tensor before" : "leaves a hole"
                throw CheckpointError.malformed(
                    file: path, offset: record.offset,
                    reason: "tensor '\(record.name)' \(what): it begins at data byte "
                        + "\(record.begin), expected \(position)")
            }
            guard record.end <= count else {
                throw CheckpointError.malformed(
                    file: path, offset: record.offset,
                    reason: "tensor '\(record.name)' ends at data byte \(record.end), but the file "
                        + "has \(count); it is cut off: copy or download it again")
            }
            position = record.end
        }
        guard position == count else {
            throw CheckpointError.malformed(
                file: path, offset: dataOffset + position,
                reason: "\(count - position) bytes follow the last tensor")
        }
    }
}
